import { createHash } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

import { AppError } from '../../shared/errors.ts';

/** Repository and tag of the artifact that the self-check leaves in the registry. */
export const CHECK_REPOSITORY = 'registry-operator/self-check';
const CHECK_TAG = 'latest';

const EMPTY_CONFIG = Buffer.from('{}');
const IMAGE_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** Larger than any answer that this check expects. */
const MAX_ANSWER_BYTES = 1 << 20;

class SelfCheckError extends AppError {
  override readonly name = 'SelfCheckError';
  constructor(message: string, options?: { cause?: unknown }) {
    super('SELF_CHECK_FAILED', message, options);
  }
}

export interface CheckTarget {
  /** `https://127.0.0.1:5000` */
  readonly url: string;
  /** PEM of the CA that must have signed the certificate; undefined trusts the system's CAs. */
  readonly ca: string | undefined;
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/**
 * Pushes a small OCI artifact and pulls it back by tag, verifying every digest, as a client would.
 *
 * @param content the bytes of its only layer
 * @returns digest of the manifest
 * @throws SelfCheckError naming the step that failed
 */
export async function pushAndPull(target: CheckTarget, content: Uint8Array): Promise<string> {
  await pushBlob(target, EMPTY_CONFIG);
  await pushBlob(target, content);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: IMAGE_MANIFEST,
      artifactType: 'application/vnd.registry-operator.self-check',
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: digestOf(EMPTY_CONFIG),
        size: EMPTY_CONFIG.length,
      },
      layers: [{ mediaType: 'text/plain', digest: digestOf(content), size: content.length }],
    }),
  );
  const path = `/v2/${CHECK_REPOSITORY}/manifests/${CHECK_TAG}`;
  const put = await call(target, 'PUT', path, { body: manifest, type: IMAGE_MANIFEST });
  expect(put, 201, `push of ${CHECK_REPOSITORY}:${CHECK_TAG}`);

  const pulled = await call(target, 'GET', path, { accept: IMAGE_MANIFEST });
  expect(pulled, 200, `pull of ${CHECK_REPOSITORY}:${CHECK_TAG}`);
  verify(pulled.body, digestOf(manifest));
  const layer = await call(target, 'GET', `/v2/${CHECK_REPOSITORY}/blobs/${digestOf(content)}`, {});
  expect(layer, 200, 'pull of the layer');
  verify(layer.body, digestOf(content));
  return digestOf(manifest);
}

/** Asks for `/v2/` without credentials: 200 is open, 401 wants a user. @throws SelfCheckError for anything else */
export async function probe(target: CheckTarget): Promise<'open' | 'credentials'> {
  const answer = await call(target, 'GET', '/v2/', {});
  if (answer.status === 200) return 'open';
  if (answer.status === 401) return 'credentials';
  throw new SelfCheckError(`GET /v2/ answered ${answer.status}`);
}

async function pushBlob(target: CheckTarget, content: Uint8Array): Promise<void> {
  const start = await call(target, 'POST', `/v2/${CHECK_REPOSITORY}/blobs/uploads/`, {
    body: Buffer.alloc(0),
  });
  expect(start, 202, 'start of an upload');
  const location = start.headers['location'];
  if (typeof location !== 'string')
    throw new SelfCheckError('start of an upload: the answer has no Location header');
  const url = new URL(location, target.url);
  url.searchParams.set('digest', digestOf(content));
  const put = await call(target, 'PUT', url.pathname + url.search, {
    body: content,
    type: 'application/octet-stream',
  });
  expect(put, 201, 'push of a blob');
}

function call(
  target: CheckTarget,
  method: string,
  path: string,
  content: { body?: Uint8Array; type?: string; accept?: string },
): Promise<Answer> {
  const url = new URL(path, target.url);
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  const headers = {
    ...(content.type === undefined ? {} : { 'content-type': content.type }),
    ...(content.accept === undefined ? {} : { accept: content.accept }),
    ...(content.body === undefined ? {} : { 'content-length': String(content.body.length) }),
  };
  const trust = target.ca === undefined ? {} : { ca: target.ca };
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new SelfCheckError(`${method} ${url.pathname}: ${cause.message}`, { cause }));
    const request = send(
      url,
      { method, headers, signal: target.signal, agent: false, ...trust },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER_BYTES) response.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('error', failed);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    request.on('error', failed);
    request.end(content.body);
  });
}

function expect(answer: Answer, status: number, step: string): void {
  if (answer.status !== status)
    throw new SelfCheckError(
      `${step}: answered ${answer.status}: ${answer.body.toString('utf8').slice(0, 500)}`,
    );
}

function verify(content: Uint8Array, digest: string): void {
  if (digestOf(content) !== digest)
    throw new SelfCheckError(`pulled ${digestOf(content)} where ${digest} was pushed`);
}

function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
