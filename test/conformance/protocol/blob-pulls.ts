import { beforeAll, describe, expect, it } from 'vitest';

import { codes, header, type RegistryClient } from './client.ts';
import { type Algorithm, ALGORITHMS, missingDigest, noise } from './content.ts';
import { blobPath, pushBlob } from './pushing.ts';

export function describeBlobPulls(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Pulling blobs (end-2), %s', (algorithm) => {
    let pushed: PushedNoise;

    beforeAll(async () => {
      pushed = await pushNoise(client, algorithm);
    });

    it('answers 200 with the very blob', async () => {
      const { path, bytes } = await pushNoise(client, algorithm, 70_000);

      const answer = await client.get(path);

      expect(answer.status).toBe(200);
      expect(header(answer, 'content-length')).toBe('70000');
      expect(answer.body.equals(bytes)).toBe(true);
    });

    it('names the digest that was asked for', async () => {
      const { path, digest } = pushed;

      expect(header(await client.get(path), 'docker-content-digest')).toBe(digest);
    });

    it('answers 404 when the repository does not have the blob', async () => {
      const repository = client.newRepository();
      await pushBlob(client, repository, noise(10));

      const answer = await client.get(blobPath(repository, missingDigest(algorithm)));

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['BLOB_UNKNOWN']);
    });

    it('answers 404 when the registry does not have the repository', async () => {
      expect((await client.get(blobPath('no/such', missingDigest(algorithm)))).status).toBe(404);
    });

    it('does not give a blob that only another repository has', async () => {
      const { digest } = pushed;
      const stranger = client.newRepository();
      await pushBlob(client, stranger, noise(10));

      expect((await client.get(blobPath(stranger, digest))).status).toBe(404);
      expect((await client.head(blobPath(stranger, digest))).status).toBe(404);
    });

    describeHeads(client, () => pushed, algorithm);
    describeRanges(client, () => pushed);
    describeConditions(client, () => pushed);
  });
}

interface PushedNoise {
  readonly path: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

async function pushNoise(client: RegistryClient, algorithm: Algorithm, size = 2048): Promise<PushedNoise> {
  const repository = client.newRepository();
  const bytes = noise(size);
  const digest = await pushBlob(client, repository, bytes, algorithm);
  return { path: blobPath(repository, digest), digest, bytes };
}

function describeHeads(client: RegistryClient, pushed: () => PushedNoise, algorithm: Algorithm): void {
  describe('Checking if content exists in the registry: blobs', () => {
    it('answers 200 to HEAD of a blob, with its digest and its size, without its bytes', async () => {
      const { path, digest } = pushed();

      const answer = await client.head(path);

      expect(answer.status).toBe(200);
      expect(header(answer, 'docker-content-digest')).toBe(digest);
      expect(header(answer, 'content-length')).toBe('2048');
      expect(answer.body).toHaveLength(0);
    });

    it('answers 404 to HEAD of a blob that the repository does not have', async () => {
      const repository = client.newRepository();
      await pushBlob(client, repository, noise(10));

      expect((await client.head(blobPath(repository, missingDigest(algorithm)))).status).toBe(404);
    });
  });
}

function describeRanges(client: RegistryClient, pushed: () => PushedNoise): void {
  describe('Pulling blobs: the Range header (RFC 9110 §14)', () => {
    it.each([
      ['500-1499', 500, 1500],
      ['500-', 500, 2048],
      ['-500', 1548, 2048],
      ['2000-5000', 2000, 2048],
      ['0-0', 0, 1],
      ['2047-2047', 2047, 2048],
      ['-5000', 0, 2048],
    ])('answers 206 to %s with these bytes only', async (range, start, end) => {
      const { path, digest, bytes } = pushed();

      const answer = await client.get(path, { range: `bytes=${range}` });

      expect(answer.status).toBe(206);
      expect(header(answer, 'content-range')).toBe(`bytes ${start}-${end - 1}/2048`);
      expect(header(answer, 'content-length')).toBe(String(end - start));
      expect(header(answer, 'docker-content-digest')).toBe(digest);
      expect(answer.body.equals(bytes.subarray(start, end))).toBe(true);
    });

    it.each(['500-0', '5000-10000', '2048-'])('answers 416 to %s, with the true size', async (range) => {
      const { path } = pushed();

      const answer = await client.get(path, { range: `bytes=${range}` });

      expect(answer.status).toBe(416);
      expect(header(answer, 'content-range')).toBe('bytes */2048');
    });

    it('says that it takes ranges', async () => {
      const { path } = pushed();

      expect(header(await client.get(path), 'accept-ranges')).toBe('bytes');
      expect(header(await client.head(path), 'accept-ranges')).toBe('bytes');
    });

    it.each(['items=0-1', 'bytes=a-b', 'bytes 0-1'])('answers the whole blob to "%s"', async (range) => {
      const { path, bytes } = pushed();

      const answer = await client.get(path, { range });

      expect(answer.status).toBe(200);
      expect(answer.body.equals(bytes)).toBe(true);
    });

    it('ignores Range with HEAD', async () => {
      const { path } = pushed();

      const answer = await client.head(path, { range: 'bytes=0-9' });

      expect(answer.status).toBe(200);
      expect(header(answer, 'content-length')).toBe('2048');
    });

    it('answers several ranges as multipart/byteranges', async () => {
      const { path, bytes } = pushed();

      const answer = await client.get(path, { range: 'bytes=0-99, 1000-1099, -48' });

      expect(answer.status).toBe(206);
      expect(header(answer, 'content-length')).toBe(String(answer.body.length));
      expect(partsOf(answer.body, header(answer, 'content-type'))).toEqual([
        { range: 'bytes 0-99/2048', text: bytes.toString('latin1', 0, 100) },
        { range: 'bytes 1000-1099/2048', text: bytes.toString('latin1', 1000, 1100) },
        { range: 'bytes 2000-2047/2048', text: bytes.toString('latin1', 2000) },
      ]);
    });

    it('answers the whole blob to more ranges than anybody needs', async () => {
      const { path, bytes } = pushed();
      const ranges = Array.from({ length: 17 }, (_, number) => `${number * 100}-${number * 100 + 9}`);

      const answer = await client.get(path, { range: `bytes=${ranges.join(',')}` });

      expect(answer.status).toBe(200);
      expect(answer.body.equals(bytes)).toBe(true);
    });
  });
}

/** The parts of a multipart body, bytes as Latin-1. */
function partsOf(body: Buffer, contentType: string): { range: string; text: string }[] {
  const boundary = /^multipart\/byteranges; ?boundary="?([^"]+)"?$/.exec(contentType)?.[1] ?? '';
  expect(boundary).not.toBe('');
  const pieces = body.toString('latin1').split(`--${boundary}`);
  expect(pieces.at(-1)?.trim()).toBe('--');
  return pieces.slice(1, -1).map((piece) => {
    const end = piece.indexOf('\r\n\r\n');
    const range = /^content-range: (.+)$/im.exec(piece.slice(0, end))?.[1]?.trim() ?? '';
    return { range, text: piece.slice(end + 4).replace(/\r\n$/, '') };
  });
}

function describeConditions(client: RegistryClient, pushed: () => PushedNoise): void {
  describe('RFC 9110 §13: conditional requests for blobs', () => {
    it.each(['GET', 'HEAD'])('answers %s with 304 to a client that has the blob', async (method) => {
      const { path, digest } = pushed();
      const headers = { 'if-none-match': `"${digest}"` };

      const answer = await client.send(method, path, { headers });

      expect(answer.status).toBe(304);
      expect(answer.body).toHaveLength(0);
    });

    it('serves a part only while If-Range names the blob', async () => {
      const { path, digest } = pushed();
      const range = 'bytes=0-9';

      expect((await client.get(path, { range, 'if-range': `"${digest}"` })).status).toBe(206);
      expect((await client.get(path, { range, 'if-range': '"another"' })).status).toBe(200);
    });

    it('lets caches keep a blob', async () => {
      const { path, digest } = pushed();

      const answer = await client.get(path);

      expect(header(answer, 'etag')).toBe(`"${digest}"`);
      expect(header(answer, 'cache-control')).toContain('max-age=31536000');
    });
  });
}
