import { createHash } from 'node:crypto';

/** A repository of a registry, and how to log in to it. */
export interface Repository {
  /** `http://host:port/v2/<name>` */
  readonly url: string;
  /** Value of the Authorization header. */
  readonly authorization?: string;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * Pushes a blob as most clients do, with POST and PUT.
 *
 * @throws Error with the server's words when it refuses
 */
export async function pushBlob(
  { url, authorization }: Repository,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const headers = authorization === undefined ? {} : { authorization };
  const started = await fetch(`${url}/blobs/uploads/`, { method: 'POST', headers });
  if (started.status !== 202) throw new Error(`POST: ${started.status} ${await started.text()}`);
  const location = new URL(started.headers.get('location') ?? '', url);
  location.searchParams.set('digest', digestOf(bytes));
  const finished = await fetch(location, {
    method: 'PUT',
    body: bytes,
    headers: { ...headers, 'content-type': 'application/octet-stream' },
  });
  if (finished.status !== 201) throw new Error(`PUT: ${finished.status} ${await finished.text()}`);
}

/** Reads a blob as it comes and forgets it. @returns the digest of what came */
export async function pullBlob({ url, authorization }: Repository, digest: string): Promise<string> {
  const response = await fetch(`${url}/blobs/${digest}`, {
    headers: authorization === undefined ? {} : { authorization },
  });
  const hash = createHash('sha256');
  for await (const chunk of response.body ?? []) hash.update(chunk);
  return `sha256:${hash.digest('hex')}`;
}
