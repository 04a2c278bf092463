import { type Blob, blobOf, CONFIG, IMAGE_TYPE, manifestOf } from './content.ts';
import type { Connection } from './http.ts';
import type { Ledger, Thing } from './ledger.ts';
import type { Random } from './random.ts';
import {
  acknowledged,
  expectStatus,
  MANNERS,
  type OpenUpload,
  pushBlob,
  resume,
  Unexpected,
} from './uploads.ts';

export interface ClientOptions {
  readonly number: number;
  readonly ledger: Ledger;
  readonly random: Random;
  /** Longest blob in bytes. */
  readonly maxBytes: number;
}

const TAGS = ['latest', 'v1', 'v2'];

/**
 * One client that pushes, moves and deletes, one request after the other, in a repository of its own. Of others it
 * mounts blobs, and the config of its images is the same for all.
 */
export class CrashClient {
  readonly #options: ClientOptions;
  readonly #repository: string;
  /** Manifests that it has pushed, by digest. */
  readonly #manifests = new Map<string, { readonly manifest: Blob; readonly layers: readonly Blob[] }>();
  #open: OpenUpload | undefined;
  #connection: Connection | undefined;
  /** Requests that were acknowledged. */
  done = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#repository = `crash/client-${options.number}`;
  }

  /** Works until the server dies. @throws Error for an answer that no client should see */
  async work(connection: Connection): Promise<void> {
    this.#connection = connection;
    while (await this.#step()) this.done += 1;
  }

  /** Goes on with the upload that the death of the server interrupted. @throws Error when it cannot */
  async resume(connection: Connection): Promise<void> {
    const upload = this.#open;
    this.#open = undefined;
    if (upload === undefined) return;
    if (await resume(connection, upload)) this.#options.ledger.settle(this.#blob(upload.blob), 'present');
  }

  /** @returns false when the server has died */
  async #step(): Promise<boolean> {
    const { random } = this.#options;
    const chance = random.below(100);
    if (chance < 35) return (await this.#push(this.#newBlob())) !== undefined;
    if (chance < 60) return this.#pushImage();
    if (chance < 70) return this.#moveTag();
    if (chance < 80) return this.#mount();
    if (chance < 87) return this.#pushReferrer();
    if (chance < 92) return this.#deleteTag();
    if (chance < 96) return this.#deleteManifest();
    return this.#deleteBlob();
  }

  #newBlob(): Blob {
    const { random, maxBytes } = this.#options;
    // Mostly small, as configs and layers of applications are.
    const size = 2 + random.below(random.chance(80) ? Math.min(maxBytes, 200_000) : maxBytes);
    return blobOf(random.bytes(size));
  }

  /** @returns undefined when the server has died */
  async #push(blob: Blob): Promise<Blob | undefined> {
    const { ledger, random } = this.#options;
    const manner = random.pick(MANNERS) ?? 'one request';
    const opened = (upload: OpenUpload): void => {
      this.#open = upload;
    };
    const push = { connection: this.#live(), repository: this.#repository, blob, manner, random, opened };
    const done = await ledger.change(this.#blob(blob), 'present', () => acknowledged(() => pushBlob(push)));
    if (!done) return undefined;
    this.#open = undefined;
    return blob;
  }

  async #pushImage(): Promise<boolean> {
    const { random } = this.#options;
    const layers: Blob[] = [];
    for (let count = 1 + random.below(3); count > 0; count--) {
      const layer = await this.#push(this.#newBlob());
      if (layer === undefined) return false;
      layers.push(layer);
    }
    if (!this.#has(CONFIG) && (await this.#push(CONFIG)) === undefined) return false;
    return this.#putManifest(manifestOf(layers, String(random.below(2 ** 32))), layers, random.pick(TAGS));
  }

  /** @param tag undefined pushes by digest */
  async #putManifest(manifest: Blob, layers: readonly Blob[], tag?: string): Promise<boolean> {
    const { ledger } = this.#options;
    const put = (): Promise<boolean> =>
      acknowledged(() =>
        expectStatus(
          this.#live(),
          {
            method: 'PUT',
            target: `/v2/${this.#repository}/manifests/${tag ?? manifest.digest}`,
            headers: { 'content-type': IMAGE_TYPE },
            body: manifest.bytes,
          },
          201,
        ),
      );
    this.#manifests.set(manifest.digest, { manifest, layers });
    const all = (): Promise<boolean> => ledger.change(this.#manifest(manifest.digest), 'present', put);
    return tag === undefined ? all() : ledger.change(this.#tag(tag), manifest.digest, all);
  }

  async #moveTag(): Promise<boolean> {
    const { random } = this.#options;
    const known = this.#manifests.get(this.#anyManifest() ?? '');
    if (known === undefined) return true;
    return this.#putManifest(known.manifest, known.layers, random.pick(TAGS));
  }

  /** Deletes may take the source away meanwhile; then the server asks for an upload. */
  async #mount(): Promise<boolean> {
    const { ledger, random } = this.#options;
    const source = random.pick(
      ledger.certain('blob').filter(({ repository }) => repository !== this.#repository),
    );
    if (source === undefined) return true;
    const query = `mount=${source.name}&from=${encodeURIComponent(source.repository)}`;
    const target = `/v2/${this.#repository}/blobs/uploads/?${query}`;
    const blob = { kind: 'blob' as const, repository: this.#repository, name: source.name };
    ledger.doubt(blob, 'present');
    return acknowledged(async () => {
      const answer = await this.#live().send({ method: 'POST', target });
      if (answer.status === 201) ledger.settle(blob, 'present');
      else if (answer.status !== 202) throw new Unexpected(`POST ${target}`, answer);
    });
  }

  async #pushReferrer(): Promise<boolean> {
    const { ledger, random } = this.#options;
    const subject = this.#manifests.get(this.#anyManifest() ?? '')?.manifest;
    if (subject === undefined || !this.#has(CONFIG)) return true;
    const referrer = manifestOf([], String(random.below(2 ** 32)), subject);
    const name = `${subject.digest} ${referrer.digest}`;
    const entry = { kind: 'referrer' as const, repository: this.#repository, name };
    return ledger.change(entry, 'present', () => this.#putManifest(referrer, []));
  }

  async #deleteTag(): Promise<boolean> {
    const { ledger, random } = this.#options;
    const tag = random.pick(ledger.certain('tag', this.#repository));
    if (tag === undefined) return true;
    return ledger.change(tag, undefined, () => this.#delete(`manifests/${tag.name}`));
  }

  /** Takes the tags that point to it along. */
  async #deleteManifest(): Promise<boolean> {
    const { ledger } = this.#options;
    const digest = this.#anyManifest();
    if (digest === undefined) return true;
    const things = [
      this.#manifest(digest),
      ...ledger
        .entries()
        .filter((entry) => entry.repository === this.#repository)
        .filter(
          ({ kind, name, possible }) =>
            (kind === 'tag' && possible.has(digest)) || (kind === 'referrer' && name.endsWith(digest)),
        ),
    ];
    for (const thing of things) ledger.doubt(thing, undefined);
    const done = await this.#delete(`manifests/${digest}`);
    if (!done) return false;
    this.#manifests.delete(digest);
    for (const thing of things) ledger.settle(thing, undefined);
    return true;
  }

  /** One that no manifest needs. */
  async #deleteBlob(): Promise<boolean> {
    const { ledger, random } = this.#options;
    const needed = new Set([CONFIG.digest]);
    for (const { layers } of this.#manifests.values()) for (const { digest } of layers) needed.add(digest);
    const blob = random.pick(
      ledger.certain('blob', this.#repository).filter(({ name }) => !needed.has(name)),
    );
    if (blob === undefined) return true;
    return ledger.change(blob, undefined, () => this.#delete(`blobs/${blob.name}`));
  }

  #delete(path: string): Promise<boolean> {
    const target = `/v2/${this.#repository}/${path}`;
    return acknowledged(() => expectStatus(this.#live(), { method: 'DELETE', target }, 202));
  }

  #anyManifest(): string | undefined {
    const { ledger, random } = this.#options;
    return random.pick(ledger.certain('manifest', this.#repository))?.name;
  }

  #has({ digest }: Blob): boolean {
    return this.#options.ledger.certain('blob', this.#repository).some(({ name }) => name === digest);
  }

  #blob({ digest }: Pick<Blob, 'digest'>): Thing {
    return { kind: 'blob', repository: this.#repository, name: digest };
  }

  #manifest(digest: string): Thing {
    return { kind: 'manifest', repository: this.#repository, name: digest };
  }

  #tag(name: string): Thing {
    return { kind: 'tag', repository: this.#repository, name };
  }

  #live(): Connection {
    if (this.#connection === undefined) throw new Error('there is no server');
    return this.#connection;
  }
}
