import { isDeepStrictEqual } from 'node:util';

import { expect } from 'vitest';

import { type Answer, header, location, outcome, type RegistryClient } from './client.ts';
import { digestOf, type Document } from './content.ts';
import { ACCEPT, blobPath } from './pushing.ts';

/** What the suite says about a registry again and again. All but the first are said of a client. */
interface ProtocolMatchers {
  /** An answer with the manifest: its type, length and digest and, unless the method was HEAD, its very bytes. */
  toBeManifest(manifest: Document, method?: string): void;
  /** The answer is that of a manifest push that succeeded; its Location leads to what was pushed. */
  toHaveCreatedManifest(answer: Answer, manifest: Document): Promise<void>;
  /** The answer is that of a blob push that succeeded; its Location leads to what was pushed. */
  toHaveCreatedBlob(answer: Answer, digest: string, bytes: Uint8Array): Promise<void>;
  /** HEAD and GET of a blob that the repository has. */
  toServeBlob(repository: string, digest: string, bytes: Uint8Array): Promise<void>;
  toServeNoBlob(repository: string, digest: string): Promise<void>;
  /** DELETE is answered 202, after which the path is unknown at once. */
  toDelete(path: string): Promise<void>;
}

declare module 'vitest' {
  interface Matchers<
    R extends void | Promise<void> = void | Promise<void>,
    T = unknown,
  > extends ProtocolMatchers {}
}

export function addMatchers(): void {
  expect.extend({
    toBeManifest(answer: Answer, manifest: Document, method?: string) {
      return compare(content(answer), manifestContent(manifest, method));
    },
    async toHaveCreatedManifest(client: RegistryClient, answer: Answer, manifest: Document) {
      const { digest } = manifest.descriptor;
      const seen = [created(answer), content(await follow(client, answer))];
      return compare(seen, [{ ...CREATED, digest }, manifestContent(manifest)]);
    },
    async toHaveCreatedBlob(client: RegistryClient, answer: Answer, digest: string, bytes: Uint8Array) {
      const seen = [created(answer), content(await follow(client, answer))];
      return compare(seen, [{ ...CREATED, digest }, blobContent(digest, bytes)]);
    },
    async toServeBlob(client: RegistryClient, repository: string, digest: string, bytes: Uint8Array) {
      const path = blobPath(repository, digest);
      const seen = [content(await client.get(path)), content(await client.head(path))];
      return compare(seen, [blobContent(digest, bytes), { ...blobContent(digest, bytes), bytes: NO_BYTES }]);
    },
    async toServeNoBlob(client: RegistryClient, repository: string, digest: string) {
      const path = blobPath(repository, digest);
      return compare([(await client.get(path)).status, (await client.head(path)).status], [404, 404]);
    },
    async toDelete(client: RegistryClient, path: string) {
      const deleted = outcome(await client.send('DELETE', path));
      return compare([deleted, (await client.head(path)).status], [{ status: 202, body: '' }, 404]);
    },
  });
}

function compare(actual: unknown, expected: unknown) {
  const pass = isDeepStrictEqual(actual, expected);
  return { pass, message: () => 'the registry answers otherwise', actual, expected };
}

const CREATED = { status: 201, body: '' };
const NO_BYTES = digestOf('');

function created(answer: Answer): object {
  return { ...outcome(answer), digest: header(answer, 'docker-content-digest') };
}

async function follow(client: RegistryClient, answer: Answer): Promise<Answer> {
  return header(answer, 'location') === '' ? answer : client.get(location(answer), ACCEPT);
}

/** What an answer with content consists of; the bytes by their digest, which is shorter to read. */
interface Content {
  readonly status: number;
  readonly type: string;
  readonly length: string;
  readonly digest: string;
  readonly bytes: string;
}

function content(answer: Answer): Content {
  return {
    status: answer.status,
    type: header(answer, 'content-type'),
    length: header(answer, 'content-length'),
    digest: header(answer, 'docker-content-digest'),
    bytes: digestOf(answer.body),
  };
}

function blobContent(digest: string, bytes: Uint8Array): Content {
  const type = 'application/octet-stream';
  return { status: 200, type, length: String(bytes.length), digest, bytes: digestOf(bytes) };
}

function manifestContent({ descriptor, bytes }: Document, method = 'GET'): Content {
  return {
    status: 200,
    type: descriptor.mediaType,
    length: String(bytes.length),
    digest: descriptor.digest,
    bytes: method === 'HEAD' ? NO_BYTES : digestOf(bytes),
  };
}
