import { describe, expect, it } from 'vitest';

import { type Answer, codes, header, location, type RegistryClient, withParameter } from './client.ts';
import { type Algorithm, ALGORITHMS, digestOf, EMPTY_JSON, missingDigest, noise, OCTETS } from './content.ts';
import { blobPath, openUpload, patchStream, postBlob, putBlob, uploads } from './pushing.ts';

type Push = (
  client: RegistryClient,
  repository: string,
  blob: { readonly digest: string; readonly bytes: Buffer },
) => Promise<Answer>;

/** The ways to push a blob in one piece, or as a stream. Those in chunks are in chunked-pushes.ts. */
const WAYS: readonly [name: string, push: Push][] = [
  ['one POST', (client, repository, { digest, bytes }) => postBlob(client, repository, digest, bytes)],
  [
    'POST and PUT',
    async (client, repository, { digest, bytes }) =>
      putBlob(client, await openUpload(client, repository), digest, bytes),
  ],
  [
    'POST with the algorithm and PUT',
    async (client, repository, { digest, bytes }) => {
      const query = `?digest-algorithm=${digest.split(':', 1)[0]}`;
      return putBlob(client, await openUpload(client, repository, query), digest, bytes);
    },
  ],
  [
    'a streamed PATCH',
    async (client, repository, { digest, bytes }) => {
      const session = await openUpload(client, repository);
      const half = bytes.length >> 1;
      const chunks = [bytes.subarray(0, half), bytes.subarray(half)].filter(({ length }) => length > 0);
      const patched = await patchStream(client, session, chunks);
      expect(patched.status).toBe(202);
      return putBlob(client, location(patched), digest, '');
    },
  ],
  [
    'a PUT of unknown length',
    async (client, repository, { digest, bytes }) =>
      client.send('PUT', withParameter(await openUpload(client, repository), 'digest', digest), {
        headers: { 'content-type': OCTETS },
        chunks: bytes.length === 0 ? [] : [bytes],
      }),
  ],
];

export function describeBlobPushes(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Pushing blobs, %s', (algorithm) => {
    describe.each(WAYS)('by %s', (_, push) => {
      it('answers 201 with the Location of the blob, after which it is there until it is deleted', async () => {
        const repository = client.newRepository();
        const bytes = noise(512);
        const digest = digestOf(bytes, algorithm);
        await expect(client).toServeNoBlob(repository, digest);

        await expect(client).toHaveCreatedBlob(
          await push(client, repository, { digest, bytes }),
          digest,
          bytes,
        );

        await expect(client).toServeBlob(repository, digest, bytes);
        await expect(client).toDelete(blobPath(repository, digest));
        await expect(client).toServeNoBlob(repository, digest);
      });

      it.each([
        ['of no bytes', Buffer.alloc(0)],
        ['of an empty JSON object', EMPTY_JSON],
        ['longer than a buffer', noise((1 << 20) + 1)],
      ])('takes a blob %s', async (_title, bytes) => {
        const repository = client.newRepository();
        const digest = digestOf(bytes, algorithm);

        await expect(client).toHaveCreatedBlob(
          await push(client, repository, { digest, bytes }),
          digest,
          bytes,
        );

        await expect(client).toServeBlob(repository, digest, bytes);
        await expect(client).toDelete(blobPath(repository, digest));
      });

      it('takes a blob that is there already', async () => {
        const repository = client.newRepository();
        const bytes = noise(512);
        const digest = digestOf(bytes, algorithm);

        for (const _time of ['first', 'second']) {
          await expect(client).toHaveCreatedBlob(
            await push(client, repository, { digest, bytes }),
            digest,
            bytes,
          );
        }
      });

      it('refuses bytes with another digest, and keeps nothing of them', async () => {
        const repository = client.newRepository();
        const [promised, bytes] = [noise(3067), noise(3072)];
        const digest = digestOf(promised, algorithm);

        const answer = await push(client, repository, { digest, bytes });

        expect(answer.status).toBe(400);
        expect(codes(answer)).toEqual(['DIGEST_INVALID']);
        await expect(client).toServeNoBlob(repository, digest);
        await expect(client).toServeNoBlob(repository, digestOf(bytes, algorithm));
      });
    });

    describeLength(client, algorithm);
  });

  describeDigests(client);
  describeSessions(client);
}

function describeLength(client: RegistryClient, algorithm: Algorithm): void {
  describe('Single POST', () => {
    it('needs no second request: the answer is never 202', async () => {
      const bytes = noise(100);
      const answer = await postBlob(client, client.newRepository(), digestOf(bytes, algorithm), bytes);

      expect(answer.status).toBe(201);
    });

    it('takes a body of unknown length', async () => {
      const repository = client.newRepository();
      const bytes = noise(5000);
      const digest = digestOf(bytes, algorithm);

      const answer = await client.send('POST', uploads(repository, `?digest=${digest}`), {
        headers: { 'content-type': OCTETS },
        chunks: [bytes],
      });

      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
    });
  });
}

const BAD_DIGESTS = [
  'sha256:baddigeststring',
  `sha256:${'A'.repeat(64)}`,
  `sha512:${'0'.repeat(64)}`,
  `md5:${'0'.repeat(32)}`,
  `sha384:${'0'.repeat(96)}`,
  'latest',
  '',
];

function describeDigests(client: RegistryClient): void {
  describe('Pushing blobs: a digest that is invalid or of an unsupported algorithm', () => {
    it.each(BAD_DIGESTS)('is refused with 400 by POST: "%s"', async (digest) => {
      const answer = await postBlob(client, client.newRepository(), digest, noise(10));

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['DIGEST_INVALID']);
    });

    it.each(BAD_DIGESTS)('is refused with 400 by PUT: "%s"', async (digest) => {
      const session = await openUpload(client, client.newRepository());

      const answer = await putBlob(client, session, digest, noise(10));

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['DIGEST_INVALID']);
    });

    it('is refused with 400 by PUT when there is none', async () => {
      const session = await openUpload(client, client.newRepository());

      expect((await client.send('PUT', session, { body: noise(10) })).status).toBe(400);
    });

    it.each(['md5', 'sha384', 'SHA512', ''])(
      'is refused with 400 as digest-algorithm=%s',
      async (algorithm) => {
        const answer = await client.send(
          'POST',
          uploads(client.newRepository(), `?digest-algorithm=${algorithm}`),
        );

        expect(answer.status).toBe(400);
      },
    );

    it('is taken in another algorithm than digest-algorithm has announced', async () => {
      const repository = client.newRepository();
      const bytes = noise(1000);
      const session = await openUpload(client, repository, '?digest-algorithm=sha512');
      const digest = digestOf(bytes);

      await expect(client).toHaveCreatedBlob(await putBlob(client, session, digest, bytes), digest, bytes);
    });
  });
}

function describeSessions(client: RegistryClient): void {
  describe('POST then PUT (end-4a, end-6)', () => {
    it('answers 202 with a Location, before which nothing is promised', async () => {
      const repository = client.newRepository();

      const answer = await client.send('POST', uploads(repository));

      expect(answer.status).toBe(202);
      expect(location(answer).pathname).toMatch(new RegExp(`^/v2/${repository}/blobs/uploads/[^/]+$`));
      expect(header(answer, 'range')).toBe('0-0');
      expect(answer.body).toHaveLength(0);
    });

    it('takes a POST to the path without the slash at its end', async () => {
      expect((await client.send('POST', `/v2/${client.newRepository()}/blobs/uploads`)).status).toBe(202);
    });

    it('gives a relative Location, which holds behind every proxy', async () => {
      const answer = await client.send('POST', uploads(client.newRepository()));

      expect(header(answer, 'location')).toMatch(/^\/v2\//);
    });

    it('lets clients upload at the same time, each at a place of its own', async () => {
      const repository = client.newRepository();
      const blobs = Array.from({ length: 8 }, () => noise(20_000));
      const sessions = await Promise.all(blobs.map(() => openUpload(client, repository)));
      expect(new Set(sessions.map(String)).size).toBe(8);

      const answers = await Promise.all(
        blobs.map((bytes, number) => {
          const session = sessions[number];
          if (session === undefined) throw new Error('no session');
          return putBlob(client, session, digestOf(bytes), bytes);
        }),
      );

      expect(answers.map(({ status }) => status)).toEqual(blobs.map(() => 201));
      for (const bytes of blobs) await expect(client).toServeBlob(repository, digestOf(bytes), bytes);
    });

    it('lets two clients upload the same blob at the same time', async () => {
      const repository = client.newRepository();
      const bytes = noise(20_000);
      const digest = digestOf(bytes);

      const answers = await Promise.all(
        [1, 2, 3].map(async () => putBlob(client, await openUpload(client, repository), digest, bytes)),
      );

      expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
      await expect(client).toServeBlob(repository, digest, bytes);
    });

    it('answers 404 to a session that never was', async () => {
      const session = `${uploads(client.newRepository())}${crypto.randomUUID()}`;
      for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
        const query = method === 'PUT' ? `?digest=${missingDigest()}` : '';
        const answer = await client.send(method, `${session}${query}`);

        expect(answer.status).toBe(404);
        expect(codes(answer)).toEqual(['BLOB_UPLOAD_UNKNOWN']);
      }
    });

    it('answers 404 to a session of another repository', async () => {
      const session = await openUpload(client, client.newRepository());
      const id = session.pathname.split('/').at(-1);
      const foreign = `${uploads(client.newRepository())}${id}`;

      expect((await client.get(foreign)).status).toBe(404);
      expect((await client.send('DELETE', foreign)).status).toBe(404);
      expect((await client.get(session)).status).toBe(204);
    });
  });

  describe('Cancelling a blob upload (end-14)', () => {
    it('answers 204, after which the session is unknown', async () => {
      const session = await openUpload(client, client.newRepository());
      await patchStream(client, session, [noise(1000)]);

      const answer = await client.send('DELETE', session);

      expect(answer.status).toBe(204);
      expect((await client.get(session)).status).toBe(404);
      expect((await client.send('DELETE', session)).status).toBe(404);
      expect((await putBlob(client, session, missingDigest(), '')).status).toBe(404);
    });
  });
}
