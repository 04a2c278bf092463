import { expect } from 'vitest';

import {
  type Answer,
  header,
  json,
  location,
  outcome,
  type RegistryClient,
  withParameter,
} from './client.ts';
import {
  type Algorithm,
  type Descriptor,
  digestOf,
  type Document,
  EMPTY_JSON,
  OCI_INDEX,
  OCI_MANIFEST,
  OCTETS,
} from './content.ts';

const BLOB_HEADERS = { 'content-type': OCTETS };
/** What a client that knows OCI accepts, in two headers as some send it. */
export const ACCEPT = { accept: [OCI_INDEX, OCI_MANIFEST] };

export function uploads(repository: string, query = ''): string {
  return `/v2/${repository}/blobs/uploads/${query}`;
}

export function blobPath(repository: string, digest: string): string {
  return `/v2/${repository}/blobs/${digest}`;
}

export function manifestPath(repository: string, reference: string): string {
  return `/v2/${repository}/manifests/${reference}`;
}

/** Opens an upload session. @returns where it goes on */
export async function openUpload(client: RegistryClient, repository: string, query = ''): Promise<URL> {
  const answer = await client.send('POST', uploads(repository, query));
  expect(answer.status).toBe(202);
  return location(answer);
}

export function putBlob(
  client: RegistryClient,
  session: URL,
  digest: string,
  bytes: Uint8Array | string,
): Promise<Answer> {
  return client.send('PUT', withParameter(session, 'digest', digest), { headers: BLOB_HEADERS, body: bytes });
}

/** One PATCH with its place in the blob. */
export function patchChunk(
  client: RegistryClient,
  session: URL,
  start: number,
  bytes: Uint8Array,
): Promise<Answer> {
  const range = `${start}-${start + bytes.length - 1}`;
  return client.send('PATCH', session, {
    headers: { ...BLOB_HEADERS, 'content-range': range },
    body: bytes,
  });
}

/** The closing PUT with the last chunk and its place in the blob. */
export function putChunk(
  client: RegistryClient,
  session: URL,
  chunk: { readonly digest: string; readonly start: number; readonly bytes: Uint8Array },
) {
  const { digest, start, bytes } = chunk;
  return client.send('PUT', withParameter(session, 'digest', digest), {
    headers: { ...BLOB_HEADERS, 'content-range': `${start}-${start + bytes.length - 1}` },
    body: bytes,
  });
}

/** One PATCH whose length is not known beforehand. */
export function patchStream(
  client: RegistryClient,
  session: URL,
  chunks: readonly Uint8Array[],
): Promise<Answer> {
  return client.send('PATCH', session, { headers: BLOB_HEADERS, chunks });
}

export function postBlob(client: RegistryClient, repository: string, digest: string, bytes: Uint8Array) {
  return client.send('POST', uploads(repository, `?digest=${encodeURIComponent(digest)}`), {
    headers: BLOB_HEADERS,
    body: bytes,
  });
}

/** Pushes a blob in the way that every registry has. @returns its digest */
export async function pushBlob(
  client: RegistryClient,
  repository: string,
  bytes: Uint8Array,
  algorithm: Algorithm = 'sha256',
): Promise<string> {
  const digest = digestOf(bytes, algorithm);
  const answer = await putBlob(client, await openUpload(client, repository), digest, bytes);
  expect(answer.status).toBe(201);
  return digest;
}

/** PUT of a manifest with a length that is not known beforehand, as the official client sends it. */
export function putManifest(
  client: RegistryClient,
  repository: string,
  reference: string,
  { bytes, descriptor }: Document,
): Promise<Answer> {
  return client.send('PUT', manifestPath(repository, reference), {
    headers: { 'content-type': descriptor.mediaType },
    chunks: [bytes],
  });
}

/** Pushes a manifest by its digest, or by a tag. */
export async function pushManifest(
  client: RegistryClient,
  repository: string,
  manifest: Document,
  reference: string = manifest.descriptor.digest,
): Promise<Answer> {
  const answer = await putManifest(client, repository, reference, manifest);
  expect(outcome(answer)).toEqual({ status: 201, body: '' });
  return answer;
}

/** The blob that artifacts have as config. */
export async function pushEmptyJson(
  client: RegistryClient,
  repository: string,
  algorithm: Algorithm = 'sha256',
): Promise<void> {
  await pushBlob(client, repository, EMPTY_JSON, algorithm);
}

/** The tags of a repository, in the order of the answer. */
export async function tagsOf(client: RegistryClient, repository: string, query = ''): Promise<string[]> {
  const answer = await client.get(`/v2/${repository}/tags/list${query}`);
  expect(answer.status).toBe(200);
  return (json(answer) as { tags: string[] }).tags;
}

/** The tags that a push says to have set, sorted; in one header or in several. */
export function tagsIn(answer: Answer): string[] {
  const tags = header(answer, 'oci-tag')
    .split(',')
    .map((tag) => tag.trim());
  return tags.filter((tag) => tag !== '').toSorted();
}

/** The descriptors of a referrers list. */
export async function referrersOf(
  client: RegistryClient,
  repository: string,
  subject: string,
  query = '',
): Promise<Descriptor[]> {
  const answer = await client.get(`/v2/${repository}/referrers/${subject}${query}`);
  expect(answer.status).toBe(200);
  return (json(answer) as { manifests: Descriptor[] }).manifests;
}
