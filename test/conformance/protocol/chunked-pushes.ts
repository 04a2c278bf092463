import { describe, expect, it } from 'vitest';

import { type Answer, codes, header, location, type RegistryClient, withParameter } from './client.ts';
import { ALGORITHMS, digestOf, noise, OCTETS } from './content.ts';
import { blobPath, openUpload, patchChunk, patchStream, putBlob, putChunk, uploads } from './pushing.ts';

/** A third of the blob: what the official suite sends, whose blobs are three chunks of 1 KiB less five bytes. */
const CHUNK = 1024;
const SIZE = 3 * CHUNK - 5;

interface Chunk {
  readonly start: number;
  readonly bytes: Buffer;
  readonly last: boolean;
}

function chunksOf(blob: Buffer): Chunk[] {
  const starts = Array.from({ length: Math.ceil(blob.length / CHUNK) }, (_, number) => number * CHUNK);
  return starts.map((start) => ({
    start,
    bytes: blob.subarray(start, start + CHUNK),
    last: start + CHUNK >= blob.length,
  }));
}

interface ChunkedPush {
  readonly digest: string;
  readonly bytes: Buffer;
  /** The last chunk comes with the closing PUT. */
  readonly putLast: boolean;
  /** Before each chunk another one is sent that is not next. */
  readonly disorder?: boolean;
}

/** Pushes a blob in chunks. @returns the answer of the closing PUT */
async function pushInChunks(client: RegistryClient, repository: string, push: ChunkedPush): Promise<Answer> {
  const { digest, bytes, putLast, disorder = false } = push;
  let session = await openUpload(client, repository);
  for (const chunk of chunksOf(bytes)) {
    if (disorder) session = await recoverFromDisorder(client, session, { ...push, next: chunk.start });
    if (putLast && chunk.last) return putChunk(client, session, { ...chunk, digest });
    const answer = await patchChunk(client, session, chunk.start, chunk.bytes);
    expect(answer.status).toBe(202);
    expect(header(answer, 'range')).toBe(`0-${chunk.start + chunk.bytes.length - 1}`);
    session = location(answer);
  }
  return putBlob(client, session, digest, '');
}

/** Sends a chunk that is not next, then asks where the upload stands. @returns where it goes on */
async function recoverFromDisorder(
  client: RegistryClient,
  session: URL,
  { bytes, digest, putLast, next }: ChunkedPush & { readonly next: number },
): Promise<URL> {
  const start = next + CHUNK >= bytes.length ? 0 : next + CHUNK;
  const wrong = bytes.subarray(start, start + CHUNK);
  const closes = putLast && start + wrong.length === bytes.length;
  const target = closes ? withParameter(session, 'digest', digest) : session;
  const refused = closes
    ? await putChunk(client, session, { digest, start, bytes: wrong })
    : await patchChunk(client, session, start, wrong);
  expect(refused.status).toBe(416);
  expect(header(refused, 'range')).toBe(`0-${Math.max(0, next - 1)}`);

  const status = await client.get(target);
  expect(status.status).toBe(204);
  expect(header(status, 'range')).toBe(`0-${Math.max(0, next - 1)}`);
  return location(status);
}

export function describeChunkedPushes(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Pushing a blob in chunks, %s', (algorithm) => {
    it.each([
      ['one chunk', 512, false],
      ['one chunk in the closing PUT', 512, true],
      ['several chunks', SIZE, false],
      ['several chunks, the last one in the closing PUT', SIZE, true],
    ])('takes %s', async (_, size, putLast) => {
      const repository = client.newRepository();
      const bytes = noise(size);
      const digest = digestOf(bytes, algorithm);

      const answer = await pushInChunks(client, repository, { digest, bytes, putLast });

      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
      await expect(client).toServeBlob(repository, digest, bytes);
      await expect(client).toDelete(blobPath(repository, digest));
    });

    it.each([
      ['chunk', false],
      ['chunk or closing PUT', true],
    ])('answers 416 to each %s that is out of order, and goes on where it stood', async (_, putLast) => {
      const repository = client.newRepository();
      const bytes = noise(SIZE);
      const digest = digestOf(bytes, algorithm);

      const answer = await pushInChunks(client, repository, { digest, bytes, putLast, disorder: true });

      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
      await expect(client).toServeBlob(repository, digest, bytes);
      await expect(client).toDelete(blobPath(repository, digest));
    });

    it.each([
      ['the closing PUT', false],
      ['a closing PUT with the last chunk', true],
    ])('refuses another digest with 400 at %s', async (_, putLast) => {
      const repository = client.newRepository();
      const bytes = noise(SIZE);
      const digest = digestOf('other bytes', algorithm);

      const answer = await pushInChunks(client, repository, { digest, bytes, putLast });

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['DIGEST_INVALID']);
      await expect(client).toServeNoBlob(repository, digest);
      await expect(client).toServeNoBlob(repository, digestOf(bytes, algorithm));
    });
  });

  describeRangeOfChunks(client);
  describeStatus(client);
}

function describeRangeOfChunks(client: RegistryClient): void {
  describe('Pushing a blob in chunks: the range of a chunk (end-5)', () => {
    it('asks for no least length of chunks', async () => {
      const answer = await client.send('POST', uploads(client.newRepository()));

      expect(answer.status).toBe(202);
      expect(header(answer, 'oci-chunk-min-length')).toBe('');
    });

    it('answers 416 when the first chunk does not begin with 0, and tells the truth', async () => {
      const session = await openUpload(client, client.newRepository());

      const answer = await patchChunk(client, session, 1, noise(10));

      expect(answer.status).toBe(416);
      expect(codes(answer)).toEqual(['RANGE_INVALID']);
      expect(header(answer, 'range')).toBe('0-0');
      expect(location(answer).pathname).toBe(session.pathname);
    });

    it('answers 416 to a chunk that comes twice, and keeps it once', async () => {
      const repository = client.newRepository();
      const bytes = noise(100);
      const session = await openUpload(client, repository);
      await patchChunk(client, session, 0, bytes);

      const again = await patchChunk(client, session, 0, bytes);

      expect(again.status).toBe(416);
      expect(header(again, 'range')).toBe('0-99');
      const digest = digestOf(bytes);
      await expect(client).toHaveCreatedBlob(await putBlob(client, session, digest, ''), digest, bytes);
    });

    it('answers 416 to a closing PUT out of order, and can still be closed', async () => {
      const repository = client.newRepository();
      const bytes = noise(100);
      const digest = digestOf(bytes);
      const session = await openUpload(client, repository);
      await patchChunk(client, session, 0, bytes.subarray(0, 60));

      const wrong = await putChunk(client, session, { digest, start: 70, bytes: bytes.subarray(70) });

      expect(wrong.status).toBe(416);
      expect(header(wrong, 'range')).toBe('0-59');
      await expect(client).toServeNoBlob(repository, digest);
      const right = await putChunk(client, session, { digest, start: 60, bytes: bytes.subarray(60) });
      await expect(client).toHaveCreatedBlob(right, digest, bytes);
    });

    it.each(['a-b', '0', '-9', '0-', '9-0', '0-9-10', '0x0-0x9', '-1-8', `0-${'9'.repeat(40)}`])(
      'refuses the range "%s" and keeps the session as it was',
      async (range) => {
        const session = await openUpload(client, client.newRepository());

        const answer = await client.send('PATCH', session, {
          headers: { 'content-type': OCTETS, 'content-range': range },
          body: noise(10),
        });

        expect([400, 416]).toContain(answer.status);
        const status = await client.get(session);
        expect(status.status).toBe(204);
        expect(header(status, 'range')).toBe('0-0');
      },
    );

    it.each([
      ['more', '0-99'],
      ['less', '0-3'],
    ])('refuses a range that promises %s bytes than Content-Length', async (_, range) => {
      const session = await openUpload(client, client.newRepository());

      const answer = await client.send('PATCH', session, {
        headers: { 'content-type': OCTETS, 'content-range': range },
        body: noise(10),
      });

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['SIZE_INVALID']);
    });
  });
}

function describeStatus(client: RegistryClient): void {
  describe('Pushing a blob in chunks: asking where it stands (end-13)', () => {
    it('answers 204 with Location and the range of what has come', async () => {
      const session = await openUpload(client, client.newRepository());
      const patched = await patchChunk(client, session, 0, noise(1000));

      const answer = await client.get(location(patched));

      expect(answer.status).toBe(204);
      expect(header(answer, 'range')).toBe('0-999');
      expect(location(answer).pathname).toBe(session.pathname);
      expect(answer.body).toHaveLength(0);
    });

    it('mixes streamed and ranged chunks', async () => {
      const repository = client.newRepository();
      const bytes = noise(3000);
      const digest = digestOf(bytes);
      const session = await openUpload(client, repository);

      const first = await patchStream(client, session, [bytes.subarray(0, 700), bytes.subarray(700, 1000)]);
      expect(header(first, 'range')).toBe('0-999');
      const second = await patchChunk(client, location(first), 1000, bytes.subarray(1000, 2000));
      expect(header(second, 'range')).toBe('0-1999');

      const answer = await putBlob(client, location(second), digest, bytes.subarray(2000));
      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
    });

    it('keeps what is in the query of a Location that a client has extended', async () => {
      const repository = client.newRepository();
      const bytes = noise(10);
      const session = withParameter(await openUpload(client, repository), 'extra', 'value');
      const digest = digestOf(bytes);

      const answer = await putBlob(client, session, digest, bytes);

      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
    });

    it('takes chunks without a Content-Type, as docker sends them', async () => {
      const session = await openUpload(client, client.newRepository());

      expect((await client.send('PATCH', session, { chunks: [noise(10)] })).status).toBe(202);
    });

    it('is over once the blob is complete', async () => {
      const bytes = noise(10);
      const session = await openUpload(client, client.newRepository());
      await putBlob(client, session, digestOf(bytes), bytes);

      expect((await client.get(session)).status).toBe(404);
      expect((await patchChunk(client, session, 10, noise(5))).status).toBe(404);
    });
  });
}
