import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { clientOf, type Client } from '../clients/client.ts';
import { INDEX_TYPE, LAYOUT_TAG, makeImage, MANIFEST_TYPE } from '../clients/image.ts';
import { sha256 } from './content.ts';

const DOCKER_TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST_TYPE = 'application/vnd.docker.distribution.manifest.list.v2+json';
const ACCEPT = [INDEX_TYPE, MANIFEST_TYPE, DOCKER_TYPE, DOCKER_LIST_TYPE].join(', ');

/** A registry without logins that content is written to. */
export interface Target {
  readonly host: string;
  readonly url: string;
  /** Whether it deletes tags. */
  readonly deletesTags: boolean;
}

/** A blob or a manifest. */
export interface Stored {
  readonly repository: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

/** A session with its first bytes, which nobody has finished. */
export interface HalfUpload {
  /** Path of the session, without a query. */
  readonly path: string;
  readonly sent: Buffer;
  readonly rest: Buffer;
}

/** What a registry must have, whoever wrote it. */
export interface Content {
  /** Repositories in byte order, with their tags in byte order. */
  readonly tags: ReadonlyMap<string, readonly string[]>;
  readonly manifests: readonly Stored[];
  readonly blobs: readonly Stored[];
  /** Paths of what was deleted. */
  readonly gone: readonly string[];
  readonly referrers: readonly Referrers[];
  readonly uploads: readonly HalfUpload[];
}

export interface Referrers {
  readonly repository: string;
  readonly subject: string;
  /** In byte order. */
  readonly referrers: readonly string[];
}

function sha512(bytes: Uint8Array): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/**
 * Writes with clients and by hand what a folder can hold: images for two architectures, Docker's types, artifacts that
 * are attached, blobs by sha512 and of no bytes, tags that moved, things that are deleted, and uploads that end half-way.
 *
 * @param prefix of the names of all repositories, so that contents can be side by side
 */
export async function writeContent(target: Target, folder: string, prefix: string): Promise<Content> {
  const own = await mkdtemp(join(folder, 'content-'));
  const image = await makeImage(own, `${prefix}.test/image:v1`);
  const writer = new Writer(target, own, prefix);
  const [a, ab, dash] = [prefix, `${prefix}/b`, `${prefix}-b`] as const;
  const layout = `oci:${image.layoutFolder}:${LAYOUT_TAG}`;
  await writer.skopeo('copy', '--all', '--preserve-digests', layout, `docker://${target.host}/${ab}:v1`);
  await writer.crane('copy', `${target.host}/${ab}:v1`, `${target.host}/${dash}:v1`);
  await writer.crane('push', '--index', image.layoutFolder, `${target.host}/${a}:moved`);
  await writer.crane('tag', `${target.host}/${dash}:v1`, 'latest');
  const docker = await writer.pushDockerType(image.archive);
  const moved = await writer.putManifest(a, 'moved', 'what the tag points to now');
  const attached = await writer.attachTwice(dash, image.index);
  const blobs = [
    await writer.putBlob(a, randomBytes(50_000), sha512),
    await writer.putBlob(a, Buffer.alloc(0)),
  ];
  const uploads = [await writer.beginUpload(a), await writer.beginUpload(`${prefix}/upload/only`)];
  const gone = await writer.deleteThings();
  const parts = (repository: string): Stored[] =>
    [...image.manifests].map(([digest, bytes]) => ({ repository, digest, bytes }));
  return {
    tags: await writer.tags([a, ab, dash, docker.repository]),
    manifests: [...parts(a), ...parts(ab), ...parts(dash), docker, moved, ...attached.manifests],
    blobs: [
      ...[a, ab, dash].flatMap((repository) =>
        [...image.blobs].map(([digest, bytes]) => ({ repository, digest, bytes })),
      ),
      ...blobs,
    ],
    gone,
    referrers: [attached.referrers],
    uploads,
  };
}

class Writer {
  readonly #target: Target;
  readonly #folder: string;
  readonly #prefix: string;
  readonly crane: Client;
  readonly skopeo: Client;
  readonly #oras: Client;

  constructor(target: Target, folder: string, prefix: string) {
    this.#target = target;
    this.#folder = folder;
    this.#prefix = prefix;
    const env = { PATH: process.env['PATH'], HOME: folder };
    this.crane = clientOf('crane', env, '--insecure');
    const skopeo = clientOf('skopeo', env, '--insecure-policy');
    this.skopeo = (name, ...args) => skopeo(name, ...insecure(name), ...args);
    this.#oras = clientOf('oras', env);
  }

  async pushDockerType(archive: string): Promise<Stored> {
    const repository = `${this.#prefix}/docker.types`;
    const name = `docker://${this.#target.host}/${repository}:v1`;
    await this.skopeo('copy', '--format', 'v2s2', `docker-archive:${archive}`, name);
    const { bytes } = await readBytes(`${this.#target.url}/v2/${repository}/manifests/v1`);
    return { repository, digest: sha256(bytes), bytes };
  }

  /** Attaches an artifact to a manifest, and another one to the same. */
  async attachTwice(
    repository: string,
    subject: string,
  ): Promise<{ manifests: Stored[]; referrers: Referrers }> {
    const manifests = [await this.attach(repository, subject), await this.attach(repository, subject)];
    const referrers = manifests.map(({ digest }) => digest).toSorted();
    return { manifests, referrers: { repository, subject, referrers } };
  }

  async attach(repository: string, subject: string): Promise<Stored> {
    const file = join(this.#folder, `${randomBytes(8).toString('hex')}.txt`);
    await writeFile(file, file);
    const reference = `${this.#target.host}/${repository}@${subject}`;
    const type = ['--disable-path-validation', '--artifact-type', 'application/vnd.test'];
    const said = await this.#oras('attach', '--plain-http', '--format', 'json', ...type, reference, file);
    const { digest } = JSON.parse(said) as { digest: string };
    const { bytes } = await readBytes(`${this.#target.url}/v2/${repository}/manifests/${digest}`);
    return { repository, digest, bytes };
  }

  async putManifest(repository: string, reference: string, text: string): Promise<Stored> {
    const bytes = await this.#manifest(repository, [], text);
    await this.#ask('PUT', `${repository}/manifests/${reference}`, 201, bytes);
    return { repository, digest: sha256(bytes), bytes };
  }

  async putSha512Manifest(repository: string, tag: string, { digest, bytes }: Stored): Promise<Stored> {
    const layer = { mediaType: 'application/octet-stream', digest, size: bytes.length };
    const manifest = await this.#manifest(repository, [layer], 'by sha512');
    await this.#ask('PUT', `${repository}/manifests/${sha512(manifest)}?tag=${tag}`, 201, manifest);
    return { repository, digest: sha512(manifest), bytes: manifest };
  }

  async #manifest(repository: string, layers: readonly object[], text: string): Promise<Buffer> {
    await this.putBlob(repository, Buffer.from('{}'));
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      artifactType: 'application/vnd.test',
      config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 },
      layers,
      annotations: { text, random: randomBytes(8).toString('hex') },
    };
    return Buffer.from(JSON.stringify(manifest));
  }

  async putBlob(
    repository: string,
    bytes: Buffer,
    digestOf: (bytes: Buffer) => string = sha256,
  ): Promise<Stored> {
    const location = await this.#begin(repository);
    const digest = digestOf(bytes);
    location.searchParams.set('digest', digest);
    const response = await fetch(location, {
      method: 'PUT',
      body: new Uint8Array(bytes),
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (response.status !== 201)
      throw new Error(`PUT ${location.pathname}: ${response.status} ${await response.text()}`);
    return { repository, digest, bytes };
  }

  async beginUpload(repository: string): Promise<HalfUpload> {
    const [sent, rest] = [randomBytes(100_000), randomBytes(50_000)];
    const location = await this.#begin(repository);
    const response = await fetch(location, {
      method: 'PATCH',
      body: new Uint8Array(sent),
      headers: { 'content-type': 'application/octet-stream' },
    });
    if (response.status !== 202) throw new Error(`PATCH ${location.pathname}: ${response.status}`);
    return { path: location.pathname, sent, rest };
  }

  /** @returns the paths of what is gone */
  async deleteThings(): Promise<string[]> {
    const repository = this.#prefix;
    const blob = await this.putBlob(repository, randomBytes(1000));
    const manifest = await this.putManifest(repository, 'deleted', 'to be deleted');
    const tagged = await this.putManifest(repository, 'untagged', 'loses its tag only');
    await this.#ask('DELETE', `${repository}/blobs/${blob.digest}`, 202);
    await this.#ask('DELETE', `${repository}/manifests/${manifest.digest}`, 202);
    const gone = [`blobs/${blob.digest}`, `manifests/${manifest.digest}`, 'manifests/deleted'];
    if (this.#target.deletesTags) {
      await this.#ask('DELETE', `${repository}/manifests/untagged`, 202);
      gone.push('manifests/untagged');
    } else {
      await this.#ask('DELETE', `${repository}/manifests/${tagged.digest}`, 202);
      gone.push('manifests/untagged', `manifests/${tagged.digest}`);
    }
    return gone.map((path) => `${repository}/${path}`);
  }

  async tags(repositories: readonly string[]): Promise<Map<string, string[]>> {
    const found = await Promise.all(
      repositories.toSorted().map(async (name) => [name, await tagsOf(this.#target.url, name)] as const),
    );
    return new Map(found);
  }

  async #begin(repository: string): Promise<URL> {
    const headers = await this.#ask('POST', `${repository}/blobs/uploads/`, 202);
    return new URL(headers.get('location') ?? '', this.#target.url);
  }

  async #ask(method: string, path: string, status: number, manifest?: Buffer): Promise<Headers> {
    const response = await fetch(`${this.#target.url}/v2/${path}`, {
      method,
      ...(manifest === undefined
        ? {}
        : { body: new Uint8Array(manifest), headers: { 'content-type': MANIFEST_TYPE } }),
    });
    const text = await response.text();
    if (response.status !== status) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return response.headers;
  }
}

function insecure(command: string): string[] {
  return command === 'copy' ? ['--src-tls-verify=false', '--dest-tls-verify=false'] : ['--tls-verify=false'];
}

/** Reads a blob or a manifest of any type. */
export async function readBytes(url: string): Promise<{ status: number; bytes: Buffer }> {
  const response = await fetch(url, { headers: { accept: ACCEPT } });
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) };
}

async function tagsOf(url: string, repository: string): Promise<string[]> {
  const response = await fetch(`${url}/v2/${repository}/tags/list`);
  const { tags } = (await response.json()) as { tags?: string[] | null };
  return [...(tags ?? [])].toSorted();
}

/** What a registry does not serve as it should; empty when all is well. */
export async function problemsOf(url: string, content: Content): Promise<string[]> {
  const stored = [
    ...content.manifests.map((entry) => ({ ...entry, kind: 'manifests' })),
    ...content.blobs.map((entry) => ({ ...entry, kind: 'blobs' })),
  ];
  const problems = [
    ...stored.map(async ({ repository, kind, digest, bytes }) => {
      const path = `${repository}/${kind}/${digest}`;
      const found = await readBytes(`${url}/v2/${path}`);
      const isSame = found.status === 200 && found.bytes.equals(bytes);
      return isSame ? undefined : `${path}: ${found.status}, ${found.bytes.length} of ${bytes.length} bytes`;
    }),
    ...content.gone.map(async (path) => {
      const { status } = await readBytes(`${url}/v2/${path}`);
      return status === 404 ? undefined : `${path}: ${status} although it was deleted`;
    }),
    ...[...content.tags].map(async ([repository, tags]) => {
      const found = await tagsOf(url, repository);
      return found.join() === tags.join()
        ? undefined
        : `${repository}: tags ${found.join()}, not ${tags.join()}`;
    }),
  ];
  return (await Promise.all(problems)).filter((problem) => problem !== undefined);
}

/** All repositories, read page by page, as they come. */
export async function catalogOf(url: string): Promise<string[]> {
  const found: string[] = [];
  let next: string | undefined = '/v2/_catalog?n=2';
  while (next !== undefined) {
    const response: Response = await fetch(new URL(next, url));
    const { repositories } = (await response.json()) as { repositories: string[] | null };
    found.push(...(repositories ?? []));
    next = /^<([^>]*)>; *rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
  }
  return found;
}

/** Digests of what the API of the registry says refers to a subject, in its order. */
export async function referrersOf(url: string, { repository, subject }: Referrers): Promise<string[]> {
  const response = await fetch(`${url}/v2/${repository}/referrers/${subject}`);
  if (!response.ok) throw new Error(`referrers of ${repository}@${subject}: ${response.status}`);
  const { manifests } = (await response.json()) as { manifests: { digest: string }[] };
  return manifests.map(({ digest }) => digest);
}

/**
 * Sends the rest of an upload, which is known by its path alone, and reads the blob.
 *
 * @param held bytes that the registry has
 * @returns what went wrong
 */
export async function finishUpload(url: string, upload: HalfUpload, held: number): Promise<string[]> {
  const bytes = Buffer.concat([upload.sent, upload.rest]);
  const response = await fetch(`${url}${upload.path}?digest=${sha256(bytes)}`, {
    method: 'PUT',
    body: new Uint8Array(bytes.subarray(held)),
    headers: {
      'content-type': 'application/octet-stream',
      'content-range': `${held}-${bytes.length - 1}`,
    },
  });
  if (response.status !== 201) return [`${upload.path}: ${response.status} ${await response.text()}`];
  await response.arrayBuffer();
  const path = upload.path.replace(/uploads\/[^/]*$/, sha256(bytes));
  const blob = await readBytes(url + path);
  return blob.bytes.equals(bytes) ? [] : [`${path}: ${blob.status}, ${blob.bytes.length} bytes`];
}

/** Manifests, and the configurations and layers that one of them names. */
export function digestsInUse({ manifests }: Content): Set<string> {
  const named = manifests.flatMap(({ bytes }) => bytes.toString().match(/sha256:[0-9a-f]{64}/g) ?? []);
  return new Set([...manifests.map(({ digest }) => digest), ...named]);
}

/** Pushes a manifest by its sha512, under the tag `v1`, with a layer by its sha512. */
export async function writeSha512Manifest(
  target: Target,
  folder: string,
  repository: string,
): Promise<{ manifest: Stored; layer: Stored }> {
  const writer = new Writer(target, folder, repository);
  const layer = await writer.putBlob(repository, randomBytes(1000), sha512);
  const manifest = await writer.putSha512Manifest(repository, 'v1', layer);
  return { manifest, layer };
}

/** Attaches one more artifact. @returns its digest */
export async function addReferrer(
  target: Target,
  folder: string,
  { repository, subject }: Referrers,
): Promise<string> {
  const own = await mkdtemp(join(folder, 'referrer-'));
  return (await new Writer(target, own, repository).attach(repository, subject)).digest;
}
