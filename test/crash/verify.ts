import { digestOf } from './content.ts';
import type { Connection } from './http.ts';
import type { Entry, Ledger } from './ledger.ts';

/** What a walk found to be whole before need not be read again: content never changes. */
export type Verified = Set<string>;

const ACCEPT = { accept: 'application/vnd.oci.image.manifest.v1+json' };

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

/**
 * Compares the server with the ledger, and walks everything that it shows.
 *
 * @returns what is wrong, one line each
 */
export async function verifyServer(
  connection: Connection,
  ledger: Ledger,
  verified: Verified,
): Promise<string[]> {
  const server = new Server(connection, verified);
  await server.walk();
  for (const entry of ledger.entries()) {
    const actual = await server.stateOf(entry);
    if (!isPossible(entry, actual)) {
      const { kind, repository, name, possible } = entry;
      server.problems.push(`${kind} ${repository} ${name} is ${actual}, not ${[...possible].join(' or ')}`);
    }
    ledger.settle(entry, actual);
  }
  return server.problems;
}

/**
 * A referrer whose push was not answered is listed later, when the index is compared with the manifests, if the
 * manifest is there.
 */
function isPossible({ kind, possible, unanswered }: Entry, actual: string | undefined): boolean {
  return possible.has(actual) || (kind === 'referrer' && unanswered.has(actual));
}

class Server {
  readonly #connection: Connection;
  readonly #verified: Verified;
  readonly #tags = new Map<string, string>();
  readonly problems: string[] = [];

  constructor(connection: Connection, verified: Verified) {
    this.#connection = connection;
    this.#verified = verified;
  }

  /** Catalog, tags, manifests, blobs. */
  async walk(): Promise<void> {
    const repositories = await this.#pages('/v2/_catalog?n=100', 'repositories');
    for (const repository of repositories) {
      for (const tag of await this.#pages(`/v2/${repository}/tags/list?n=100`, 'tags')) {
        const digest = await this.#manifest(repository, tag);
        if (digest === undefined) this.problems.push(`tag ${repository}:${tag} points to nothing`);
        else this.#tags.set(`${repository}:${tag}`, digest);
      }
    }
  }

  async stateOf({ kind, repository, name }: Entry): Promise<string | undefined> {
    if (kind === 'tag') return this.#tags.get(`${repository}:${name}`);
    if (kind === 'blob') return (await this.#blob(repository, name)) ? 'present' : undefined;
    if (kind === 'manifest') return (await this.#manifest(repository, name)) === name ? 'present' : undefined;
    const [subject = '', referrer = ''] = name.split(' ');
    return (await this.#referrers(repository, subject)).includes(referrer) ? 'present' : undefined;
  }

  /** @returns the digest; undefined when there is none */
  async #manifest(repository: string, reference: string): Promise<string | undefined> {
    const target = `/v2/${repository}/manifests/${reference}`;
    const { status, headers, body } = await this.#get(target, ACCEPT);
    if (status === 404) return undefined;
    const digest = digestOf(body);
    if (status !== 200 || headers['docker-content-digest'] !== digest) {
      this.problems.push(`${target} is damaged: ${status}, ${body.length} bytes`);
      return undefined;
    }
    const { config, layers } = JSON.parse(body.toString()) as Manifest;
    for (const needed of [config, ...layers]) {
      if (!(await this.#blob(repository, needed.digest))) {
        this.problems.push(`${target} needs ${needed.digest}, which is missing`);
      }
    }
    return digest;
  }

  async #blob(repository: string, digest: string): Promise<boolean> {
    const target = `/v2/${repository}/blobs/${digest}`;
    const method = this.#verified.has(digest) ? 'HEAD' : 'GET';
    const { status, body } = await this.#connection.send({ method, target });
    if (status === 404) return false;
    if (status !== 200 || (method === 'GET' && digestOf(body) !== digest)) {
      this.problems.push(`${target} is damaged: ${status}, ${body.length} bytes`);
    }
    this.#verified.add(digest);
    return true;
  }

  async #referrers(repository: string, subject: string): Promise<readonly string[]> {
    const { status, body } = await this.#get(`/v2/${repository}/referrers/${subject}`);
    if (status !== 200) {
      this.problems.push(`referrers of ${repository} ${subject}: ${status}`);
      return [];
    }
    const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] };
    const digests = manifests.map(({ digest }) => digest);
    for (const digest of digests) {
      if ((await this.#manifest(repository, digest)) === undefined) {
        this.problems.push(`${repository} lists the referrer ${digest}, which is missing`);
      }
    }
    return digests;
  }

  async #pages(first: string, field: 'repositories' | 'tags'): Promise<readonly string[]> {
    const names: string[] = [];
    for (let target: string | undefined = first; target !== undefined;) {
      const { status, headers, body } = await this.#get(target);
      if (status !== 200) {
        if (status !== 404 || field !== 'tags') this.problems.push(`${target}: ${status} ${body.toString()}`);
        return names;
      }
      const page = JSON.parse(body.toString()) as Partial<Record<'repositories' | 'tags', string[] | null>>;
      names.push(...(page[field] ?? []));
      target = /^<([^>]+)>/.exec(String(headers['link'] ?? ''))?.[1];
    }
    return names;
  }

  #get(target: string, headers: Readonly<Record<string, string>> = {}): ReturnType<Connection['send']> {
    return this.#connection.send({ method: 'GET', target, headers });
  }
}
