import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { WriteSession } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { StorageError } from '../storage/errors.ts';
import type { ByteSource } from './byte-source.ts';
import { RangeInvalid } from './errors.ts';
import { blobDataKey, uploadDataKey, uploadSealedKey, uploadStartedKey } from './layout.ts';
import { parseRepositoryName, parseUploadId } from './reference.ts';
import {
  bodyOf,
  brokenAfter,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  failureOf,
  keysOf,
  pushBlob,
  REPOSITORY,
  refusal,
  someBytes,
  sourceOf,
  type TestRegistry,
} from './testing.ts';

const OTHER = parseRepositoryName('library/busybox');
const UNKNOWN_ID = parseUploadId('0f8fad5b-d9cb-469f-a165-70867728950e');

async function uploadsLeft(registry: TestRegistry): Promise<string[]> {
  return (await keysOf(registry.storage)).filter((key) => key.includes('/_uploads/'));
}

/** A body whose bytes are sent by hand. */
function manualBody(): { data: ByteSource; send(bytes: Uint8Array): void; end(): void } {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, {
    highWaterMark: 100,
  });
  const writer = writable.getWriter();
  return {
    data: sourceOf(readable),
    send: (bytes) => void writer.write(bytes),
    end: () => void writer.close(),
  };
}

describe('an upload', () => {
  test.each([0, 1, 65_536, 1_500_000])('of %i bytes in one chunk becomes a blob', async (size) => {
    const registry = createTestRegistry();
    const bytes = someBytes(size);
    const { id } = await registry.uploads.start(REPOSITORY, call());

    const status = await registry.uploads.append(REPOSITORY, id, bodyOf(bytes, { length: size }), call());
    const blob = await registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf(bytes),
      undefined,
      call(),
    );

    expect(status).toEqual({ repository: REPOSITORY, id, offset: size });
    expect(blob).toMatchObject({ digest: digestOf(bytes), size });
    expect((await contentOf(registry, digestOf(bytes))).equals(bytes)).toBe(true);
    expect(await uploadsLeft(registry)).toEqual([]);
  });

  test('goes on over any chunks and any replicas, by either digest', async () => {
    const step = fc.record({ size: fc.nat({ max: 200_000 }), replica: fc.nat({ max: 1 }) });
    const plan = fc.record({
      steps: fc.array(step, { maxLength: 5 }),
      last: step,
      algorithm: fc.constantFrom('sha256', 'sha512'),
      announced: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ steps, last, algorithm, announced }) => {
        const storage = createMemoryDriver();
        const one = createTestRegistry(storage);
        const other = createTestRegistry(storage);
        const replicas = [one, other];
        const bytes = someBytes([...steps, last].reduce((sum, { size }) => sum + size, 0));
        const options = announced ? { ...call(), algorithm } : call();
        const { id } = await one.uploads.start(REPOSITORY, options);
        let offset = 0;
        for (const { size, replica } of steps) {
          const body = bodyOf(bytes.subarray(offset, offset + size), { start: offset, length: size });
          offset += size;
          expect(await replicas[replica]?.uploads.append(REPOSITORY, id, body, call())).toMatchObject({
            offset,
          });
        }

        const body = bodyOf(bytes.subarray(offset), { start: offset });
        const digest = digestOf(bytes, algorithm);
        const blob = await replicas[last.replica]?.uploads.complete(
          { repository: REPOSITORY, id },
          digest,
          body,
          call(),
        );

        expect(blob).toMatchObject({ digest, size: bytes.byteLength });
        expect((await contentOf(one, digest)).equals(bytes)).toBe(true);
        expect(await uploadsLeft(one)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test('with a part in the last request needs no chunk before', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());

    await registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf('x'),
      bodyOf('x', { start: 0 }),
      call(),
    );

    expect((await contentOf(registry, digestOf('x'))).toString()).toBe('x');
  });

  test('of nothing is the empty blob', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());

    expect(
      await registry.uploads.complete({ repository: REPOSITORY, id }, digestOf(''), undefined, call()),
    ).toMatchObject({
      size: 0,
    });
    expect(await contentOf(registry, digestOf(''))).toHaveLength(0);
  });

  test('announced as sha512 is hashed once', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, { ...call(), algorithm: 'sha512' });
    await registry.uploads.status(REPOSITORY, id, call());
    await registry.uploads.append(REPOSITORY, id, bodyOf('ab'), call());
    const opened: string[] = [];
    const open = registry.storage.open.bind(registry.storage);
    registry.storage.open = async (key, ...rest) => {
      opened.push(key);
      return open(key, ...rest);
    };

    await registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf('ab', 'sha512'),
      undefined,
      call(),
    );

    expect(opened).toEqual([]);
  });

  test('tells in RFC 3339 when it was started', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());

    const text = await registry.storage.get(uploadStartedKey(REPOSITORY, id), 100);

    expect(Buffer.from(text ?? []).toString()).toBe('2026-11-21T10:00:00.000Z');
  });

  test('of content that another repository has stores it once', async () => {
    const registry = createTestRegistry();
    const { digest } = await pushBlob(registry, 'x', OTHER);
    const before = await registry.storage.stat(blobDataKey(digest));

    await pushBlob(registry, 'x');

    expect(await registry.storage.stat(blobDataKey(digest))).toEqual(before);
    expect((await contentOf(registry, digest)).toString()).toBe('x');
  });
});

describe('a chunk', () => {
  test('out of order is refused with the true state, and the upload goes on', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    await registry.uploads.append(REPOSITORY, id, bodyOf('ab'), call());
    const outOfOrder = [
      registry.uploads.append.bind(registry.uploads, REPOSITORY, id, bodyOf('d', { start: 3 }), call()),
      registry.uploads.append.bind(registry.uploads, REPOSITORY, id, bodyOf('a', { start: 0 }), call()),
      registry.uploads.complete.bind(
        registry.uploads,
        { repository: REPOSITORY, id },
        digestOf('abc'),
        bodyOf('d', { start: 3 }),
        call(),
      ),
    ];
    for (const attempt of outOfOrder) {
      const error: unknown = await attempt().then(undefined, (thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(RangeInvalid);
      expect(error).toMatchObject({ status: 416, upload: { repository: REPOSITORY, id, offset: 2 } });
      expect(await registry.uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 2 });
    }

    await registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf('abc'),
      bodyOf('c', { start: 2 }),
      call(),
    );

    expect((await contentOf(registry, digestOf('abc'))).toString()).toBe('abc');
  });

  test('of another length than promised is refused, and what came is kept', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());

    const short = registry.uploads.append(REPOSITORY, id, bodyOf('abc', { length: 4 }), call());
    expect(await refusal(short)).toBe('SIZE_INVALID 400');
    expect(await registry.uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 3 });

    const long = registry.uploads.append(REPOSITORY, id, bodyOf('def', { length: 2 }), call());
    expect(await refusal(long)).toBe('SIZE_INVALID 400');
    expect(await registry.uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 3 });

    const last = registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf('abc'),
      bodyOf('', { length: 9 }),
      call(),
    );
    expect(await refusal(last)).toBe('SIZE_INVALID 400');
    await registry.uploads.complete({ repository: REPOSITORY, id }, digestOf('abc'), undefined, call());
    expect((await contentOf(registry, digestOf('abc'))).toString()).toBe('abc');
  });

  test('that breaks off is kept as far as it came, and the digest goes on', async () => {
    const registry = createTestRegistry();
    const bytes = someBytes(1_000_000);
    const { id } = await registry.uploads.start(REPOSITORY, call());

    const broken = registry.uploads.append(
      REPOSITORY,
      id,
      { data: brokenAfter(bytes.subarray(0, 700_000)) },
      call(),
    );
    await expect(broken).rejects.toThrow('aborted');
    const { offset } = await registry.uploads.status(REPOSITORY, id, call());

    expect(offset).toBe(700_000);
    await registry.uploads.append(REPOSITORY, id, bodyOf(bytes.subarray(offset), { start: offset }), call());
    await registry.uploads.complete({ repository: REPOSITORY, id }, digestOf(bytes), undefined, call());
    expect((await contentOf(registry, digestOf(bytes))).equals(bytes)).toBe(true);
  });

  test('whose client falls silent ends when the request is aborted', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const controller = new AbortController();
    const body = manualBody();
    const outcome = failureOf(registry.uploads.append(REPOSITORY, id, body, { signal: controller.signal }));
    body.send(Buffer.from('abc'));
    await new Promise((resolve) => setTimeout(resolve, 20));

    controller.abort(new Error('gone'));

    expect(await outcome).toBe('gone');
    expect(await registry.uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 3 });
  });
});

describe('a session', () => {
  test('is unknown before it starts, in another repository, and after it ends', async () => {
    const registry = createTestRegistry();
    const { uploads } = registry;
    const { id } = await uploads.start(REPOSITORY, call());
    const cancelled = await uploads.start(REPOSITORY, call());
    await uploads.append(REPOSITORY, cancelled.id, bodyOf('abc'), call());
    await uploads.cancel(REPOSITORY, cancelled.id, call());

    for (const [name, unknown] of [
      [REPOSITORY, UNKNOWN_ID],
      [OTHER, id],
      [REPOSITORY, cancelled.id],
    ] as const) {
      expect(await refusal(uploads.status(name, unknown, call()))).toBe('BLOB_UPLOAD_UNKNOWN 404');
      expect(await refusal(uploads.append(name, unknown, bodyOf('x'), call()))).toBe(
        'BLOB_UPLOAD_UNKNOWN 404',
      );
      expect(await refusal(uploads.cancel(name, unknown, call()))).toBe('BLOB_UPLOAD_UNKNOWN 404');
      expect(
        await refusal(uploads.complete({ repository: name, id: unknown }, digestOf('x'), undefined, call())),
      ).toBe('BLOB_UPLOAD_UNKNOWN 404');
    }
    await uploads.cancel(REPOSITORY, id, call());
    expect(await uploadsLeft(registry)).toEqual([]);
  });

  test('with another digest than promised is gone, and leaves nothing', async () => {
    const registry = createTestRegistry();
    for (const algorithm of ['sha256', 'sha512'] as const) {
      const { id } = await registry.uploads.start(REPOSITORY, call());
      await registry.uploads.append(REPOSITORY, id, bodyOf('abc'), call());

      const wrong = registry.uploads.complete(
        { repository: REPOSITORY, id },
        digestOf('x', algorithm),
        undefined,
        call(),
      );

      expect(await refusal(wrong)).toBe('DIGEST_INVALID 400');
      expect(await refusal(registry.uploads.status(REPOSITORY, id, call()))).toBe('BLOB_UPLOAD_UNKNOWN 404');
    }
    expect(await keysOf(registry.storage)).toEqual([]);
  });

  test('may be completed again when the answer was lost', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const complete = (text: string, body?: string): Promise<unknown> =>
      registry.uploads.complete(
        { repository: REPOSITORY, id },
        digestOf(text),
        body === undefined ? undefined : bodyOf(body),
        call(),
      );
    const first = await complete('abc', 'abc');

    expect(await complete('abc', 'abc')).toEqual(first);
    expect(await complete('abc')).toEqual(first);
    expect(await refusal(complete('other'))).toBe('BLOB_UPLOAD_UNKNOWN 404');
  });

  test('that came whole in one request and broke off may be sent again as it was', async () => {
    const registry = createTestRegistry();
    const bytes = someBytes(800_000);
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const complete = (data: ByteSource): Promise<unknown> =>
      registry.uploads.complete(
        { repository: REPOSITORY, id },
        digestOf(bytes),
        { data, length: bytes.length },
        call(),
      );

    await expect(complete(brokenAfter(bytes.subarray(0, 700_000)))).rejects.toThrow('aborted');
    await complete(bodyOf(bytes).data);

    expect((await contentOf(registry, digestOf(bytes))).equals(bytes)).toBe(true);
  });

  test('takes one writer at a time, and mixes nothing', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const body = manualBody();
    const first = registry.uploads.append(REPOSITORY, id, body, call());
    body.send(Buffer.from('ab'));

    const second = registry.uploads.append(REPOSITORY, id, bodyOf('XY'), call());
    expect(await refusal(second)).toBe('RANGE_INVALID 416');
    const early = registry.uploads.complete(
      { repository: REPOSITORY, id },
      digestOf('ab'),
      undefined,
      call(),
    );
    expect(await refusal(early)).toBe('RANGE_INVALID 416');
    body.end();

    expect(await first).toMatchObject({ offset: 2 });
    await registry.uploads.complete({ repository: REPOSITORY, id }, digestOf('ab'), undefined, call());
  });

  test('takes one writer at a time among replicas too', async () => {
    const storage = createMemoryDriver();
    const one = createTestRegistry(storage);
    const other = createTestRegistry(storage);
    const { id } = await one.uploads.start(REPOSITORY, call());
    const body = manualBody();
    const first = one.uploads.append(REPOSITORY, id, body, call());
    await new Promise(setImmediate);

    expect(await refusal(other.uploads.append(REPOSITORY, id, bodyOf('XY'), call()))).toBe(
      'RANGE_INVALID 416',
    );
    expect(await refusal(other.uploads.status(REPOSITORY, id, call()))).toBe('accepted');
    body.end();

    expect(await first).toMatchObject({ offset: 0 });
  });

  test('may be looked at by many at once, and while it is written to', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    await registry.uploads.append(REPOSITORY, id, bodyOf('ab'), call());
    const look = (): Promise<unknown> => registry.uploads.status(REPOSITORY, id, call());

    const before = await Promise.all([look(), look(), look()]);
    const body = manualBody();
    const writing = registry.uploads.append(REPOSITORY, id, body, call());
    const [during] = await Promise.all([look(), look()]);
    body.end();
    await writing;

    expect([...before, during]).toEqual(
      Array.from({ length: 4 }, () => ({ repository: REPOSITORY, id, offset: 2 })),
    );
  });

  test('that is cancelled while it is written to ends both', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const writing = registry.uploads.append(REPOSITORY, id, manualBody(), call());
    const outcome = refusal(writing);
    await new Promise(setImmediate);

    await registry.uploads.cancel(REPOSITORY, id, call());

    expect(await outcome).toBe('BLOB_UPLOAD_UNKNOWN 404');
    expect(await uploadsLeft(registry)).toEqual([]);
  });

  test('survives the end of its server', async () => {
    const storage = createMemoryDriver();
    const registry = createTestRegistry(storage);
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const body = manualBody();
    const writing = registry.uploads.append(REPOSITORY, id, body, call());
    const outcome = refusal(writing);
    body.send(Buffer.from('abc'));
    await new Promise((resolve) => setTimeout(resolve, 20));

    await registry.uploads.close();

    expect(await outcome).toBe('UNAVAILABLE 503');
    expect(await refusal(registry.uploads.status(REPOSITORY, id, call()))).toBe('UNAVAILABLE 503');
    const next = createTestRegistry(storage);
    expect(await next.uploads.status(REPOSITORY, id, call())).toMatchObject({ offset: 3 });
    await next.uploads.complete({ repository: REPOSITORY, id }, digestOf('abc'), undefined, call());
    expect((await contentOf(next, digestOf('abc'))).toString()).toBe('abc');
  });

  test('that ended in the middle of its completion is completed by a repeated request', async () => {
    const registry = createTestRegistry();
    await registry.storage.put(uploadSealedKey(REPOSITORY, UNKNOWN_ID), Buffer.from('abc'));

    const blob = await registry.uploads.complete(
      { repository: REPOSITORY, id: UNKNOWN_ID },
      digestOf('abc'),
      undefined,
      call(),
    );

    expect(blob).toMatchObject({ size: 3 });
    expect((await contentOf(registry, digestOf('abc'))).toString()).toBe('abc');
    expect(await uploadsLeft(registry)).toEqual([]);
  });

  test('of distribution goes on here', async () => {
    const registry = createTestRegistry();
    const data = uploadDataKey(REPOSITORY, UNKNOWN_ID);
    const session = await registry.storage.startWrite(data);
    await session.append(Buffer.from('ab'));
    await session.suspend();
    const started = uploadStartedKey(REPOSITORY, UNKNOWN_ID);
    await registry.storage.put(started, Buffer.from('2026-11-21T09:00:00Z'));

    await registry.uploads.complete(
      { repository: REPOSITORY, id: UNKNOWN_ID },
      digestOf('abc'),
      bodyOf('c'),
      call(),
    );

    expect((await contentOf(registry, digestOf('abc'))).toString()).toBe('abc');
  });
});

/** A driver whose sessions refuse to grow beyond a size. */
function fullAfter(bytes: number): ReturnType<typeof createMemoryDriver> {
  const storage = createMemoryDriver();
  const limit = (session: WriteSession): WriteSession =>
    new Proxy(session, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target);
        if (property === 'append' && target.offset >= bytes) {
          return async () => {
            throw new StorageError('NO_SPACE', { driver: 'test', operation: 'append', message: 'full' });
          };
        }
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const startWrite = storage.startWrite.bind(storage);
  storage.startWrite = async (key) => limit(await startWrite(key));
  return storage;
}

describe('a storage that fails', () => {
  test('ends the request and keeps what it took', async () => {
    const registry = createTestRegistry(fullAfter(1));
    const bytes = someBytes(1_200_000);
    const { id } = await registry.uploads.start(REPOSITORY, call());

    const failed = registry.uploads.append(REPOSITORY, id, bodyOf(bytes), call());
    await expect(failed).rejects.toMatchObject({ code: 'NO_SPACE' });
    const { offset } = await registry.uploads.status(REPOSITORY, id, call());

    expect(offset).toBe(512 << 10);
    const rest = bodyOf(bytes.subarray(offset), { start: offset });
    await registry.uploads.complete({ repository: REPOSITORY, id }, digestOf(bytes), rest, call());
    expect((await contentOf(registry, digestOf(bytes))).equals(bytes)).toBe(true);
  });

  test('gives all buffers back', async () => {
    const registry = createTestRegistry(fullAfter(1));
    const { buffers } = registry.digests;
    for (let round = 0; round < 20; round++) {
      const { id } = await registry.uploads.start(REPOSITORY, call());
      await registry.uploads
        .append(REPOSITORY, id, bodyOf(someBytes(1_200_000)), call())
        .catch(() => undefined);
    }

    const lent = Array.from({ length: 16 }, () => buffers.take());
    for (const batch of lent) buffers.give(batch);

    expect(lent.every(({ byteLength }) => byteLength === 512 << 10)).toBe(true);
  });
});

describe('a push in one request', () => {
  test('of wrong content or length leaves nothing', async () => {
    const registry = createTestRegistry();
    const push = (digest: string, body: Parameters<typeof registry.uploads.push>[2]): Promise<string> =>
      refusal(registry.uploads.push(REPOSITORY, digestOf(digest), body, call()));

    expect(await push('x', bodyOf('y'))).toBe('DIGEST_INVALID 400');
    expect(await push('abc', bodyOf('abc', { length: 4 }))).toBe('SIZE_INVALID 400');
    await expect(push('abc', { data: brokenAfter(Buffer.from('abc')) })).rejects.toThrow('aborted');

    expect(await keysOf(registry.storage)).toEqual([]);
  });
});

describe('a push in one request that the storage fails at its end', () => {
  test('leaves nothing', async () => {
    const storage = createMemoryDriver();
    const startWrite = storage.startWrite.bind(storage);
    storage.startWrite = async (key) => {
      const session = await startWrite(key);
      session.commit = async () => {
        throw new StorageError('UNAVAILABLE', { driver: 'test', operation: 'commit', message: 'away' });
      };
      return session;
    };
    const registry = createTestRegistry(storage);

    const push = registry.uploads.push(REPOSITORY, digestOf('abc'), bodyOf('abc'), call());
    await expect(push).rejects.toMatchObject({ code: 'UNAVAILABLE' });

    const [upload] = await keysOf(storage);
    expect(upload).toBeUndefined();
  });
});

describe('purge', () => {
  test('leaves a session that is in use', async () => {
    const registry = createTestRegistry();
    const { id } = await registry.uploads.start(REPOSITORY, call());
    const body = manualBody();
    const writing = registry.uploads.append(REPOSITORY, id, body, call());

    expect(await registry.uploads.purge(new Date('2030-01-01T12:00:00Z'), call())).toBe(0);

    body.end();
    expect(await writing).toMatchObject({ offset: 0 });
  });
});
