import { describe, expect, test } from 'vitest';

import type { StorageDriver, StorageKey, WriteSession } from '../../../src/registry/storage/driver.ts';
import { isStorageError } from '../../../src/registry/storage/errors.ts';
import {
  drain,
  type DriverTraits,
  key,
  listAll,
  noise,
  sha256,
  text,
  uploadKey,
  useBackend,
} from './fixture.ts';

const MIB = 1 << 20;
/** More than two parts of an object store, and odd everywhere. */
const LARGE_BYTES = 24 * MIB + 12_345;

/** startWrite, resumeWrite and the life of a WriteSession. */
export function describeWriting(traits: DriverTraits): void {
  const backend = useBackend(traits);

  describe('write sessions', () => {
    test.each([
      ['a few bytes', 11, [11]],
      ['one byte at a time', 5, [1]],
      ['below one part', 3 * MIB + 1, [100_000, 1]],
      ['exactly one part', 8 * MIB, [MIB]],
      ['large, in odd chunks', LARGE_BYTES, [65_536, 999_983, 7]],
      ['large, in chunks larger than a part', LARGE_BYTES, [9 * MIB + 1]],
    ])('stores %s', async (_title, size, chunks) => {
      const { driver, another } = backend();
      const bytes = noise(size);
      const session = await driver.startWrite(uploadKey());

      await appendAll(session, bytes, chunks);
      expect(session.offset).toBe(size);
      await session.commit(key('blobs/sha256/ab/data'));

      const other = await another();
      expect(await other.stat(key('blobs/sha256/ab/data'))).toMatchObject({ size });
      expect(sha256(await drain(await other.open(key('blobs/sha256/ab/data'))))).toBe(sha256(bytes));
    });

    test('stores an object of no bytes', async () => {
      const { driver } = backend();
      const session = await driver.startWrite(uploadKey());

      await session.append(new Uint8Array());
      await session.commit(key('empty/data'));

      expect(await driver.stat(key('empty/data'))).toMatchObject({ size: 0 });
    });

    test('lets the caller use its buffer again after each append', async () => {
      const { driver } = backend();
      const session = await driver.startWrite(uploadKey());
      const buffer = Buffer.alloc(100_000);
      const expected: Buffer[] = [];

      for (let n = 0; n < 120; n++) {
        buffer.fill(n);
        expected.push(Buffer.from(buffer));
        await session.append(buffer);
      }
      buffer.fill(255);
      await session.commit(key('reused/data'));

      expect(sha256(await drain(await driver.open(key('reused/data'))))).toBe(
        sha256(Buffer.concat(expected)),
      );
    });

    test('takes bytes that threads share', async () => {
      const { driver } = backend();
      const shared = new Uint8Array(new SharedArrayBuffer(MIB));
      shared.set(noise(MIB));
      const session = await driver.startWrite(uploadKey());

      for (let n = 0; n < 9; n++) await session.append(shared);
      await session.commit(key('shared/data'));

      const expected = Buffer.concat(Array.from({ length: 9 }, () => shared));
      expect(sha256(await drain(await driver.open(key('shared/data'))))).toBe(sha256(expected));
    });

    test('overwrites at commit, and nobody sees anything before', async () => {
      const { driver, another } = backend();
      await driver.put(key('target/data'), Buffer.from('before'));
      const other = await another();
      const session = await driver.startWrite(uploadKey());
      await session.append(noise(9 * MIB));
      await session.flush();

      expect(text(await other.get(key('target/data'), 100))).toBe('before');
      expect(await listAll(other, 'target/')).toEqual(['data']);
      await session.commit(key('target/data'));

      expect(await other.stat(key('target/data'))).toMatchObject({ size: 9 * MIB });
    });

    test('forgets everything at abort', async () => {
      const { driver, residue } = backend();
      const upload = uploadKey();
      const session = await driver.startWrite(upload);
      await session.append(noise(9 * MIB));

      await session.abort();
      await session.abort();

      expect(await driver.resumeWrite(upload)).toBeUndefined();
      expect(await residue()).toEqual([]);
    });

    test('refuses to go on after its end', async () => {
      const { driver } = backend();
      const session = await driver.startWrite(uploadKey());
      await session.append(Buffer.from('x'));
      await session.commit(key('done/data'));

      for (const call of [
        () => session.append(Buffer.from('y')),
        () => session.flush(),
        () => session.suspend(),
        () => session.commit(key('again/data')),
      ]) {
        await expect(call()).rejects.toSatisfy((error) => isStorageError(error, 'SESSION_BUSY'));
      }
      await session.abort();
      expect(await driver.stat(key('done/data'))).toMatchObject({ size: 1 });
    });

    test('runs side by side', async () => {
      const { driver } = backend();
      const blobs = Array.from({ length: 6 }, (_, n) => noise(n * 2 * MIB + n));

      await Promise.all(
        blobs.map(async (bytes, n) => {
          const session = await driver.startWrite(uploadKey());
          await appendAll(session, bytes, [MIB - 1]);
          await session.commit(key(`parallel/${n}`));
        }),
      );

      for (const [n, bytes] of blobs.entries()) {
        expect(sha256(await drain(await driver.open(key(`parallel/${n}`))))).toBe(sha256(bytes));
      }
    });
  });

  describe('suspend and resume', () => {
    test.each([
      ['nothing', 0, 100],
      ['a few bytes', 11, 13],
      ['less than a part', 3 * MIB, 100],
      ['exactly a part', 8 * MIB, 5],
      ['more than a part', 10 * MIB + 7, 3 * MIB],
      ['and then another part', 9 * MIB + 7, 9 * MIB],
    ])('goes on elsewhere after %s', async (_title, first, second) => {
      const { driver, another } = backend();
      const bytes = noise(first + second);
      for (const withToken of [true, false]) {
        const upload = uploadKey();
        const begun = await driver.startWrite(upload);
        await begun.append(bytes.subarray(0, first));
        const token = await begun.suspend();

        const session = await resume(await another(), upload, withToken ? token : undefined);
        expect(session.offset).toBe(first);
        await session.append(bytes.subarray(first));
        await session.commit(key(`resumed/${withToken}`));

        expect(sha256(await drain(await driver.open(key(`resumed/${withToken}`))))).toBe(sha256(bytes));
      }
    });

    test('survives many suspends at odd places', async () => {
      const { driver, another } = backend();
      const drivers = [driver, await another()];
      const bytes = noise(11 * MIB);
      const upload = uploadKey();
      let session = await driver.startWrite(upload);

      for (let offset = 0, round = 0; offset < bytes.length; round++) {
        const chunk = bytes.subarray(offset, offset + 1_700_003);
        await session.append(chunk);
        offset += chunk.length;
        const token = await session.suspend();
        session = await resume(drivers[round % 2]!, upload, round % 3 === 0 ? undefined : token);
        expect(session.offset).toBe(offset);
      }
      await session.commit(key('odd/data'));

      expect(sha256(await drain(await driver.open(key('odd/data'))))).toBe(sha256(bytes));
    });

    test.each([0, 100, 9 * MIB])('commits after a suspend without another byte: %d', async (size) => {
      const { driver } = backend();
      const bytes = noise(size);
      const upload = uploadKey();
      const begun = await driver.startWrite(upload);
      await begun.append(bytes);
      const token = await begun.suspend();

      const session = await resume(driver, upload, token);
      await session.commit(key('whole/data'));

      expect(sha256(await drain(await driver.open(key('whole/data'))))).toBe(sha256(bytes));
      expect(await driver.resumeWrite(upload, token)).toBeUndefined();
    });

    test.each([100, 9 * MIB])('aborts after a suspend: %d bytes', async (size) => {
      const { driver, residue } = backend();
      const upload = uploadKey();
      const begun = await driver.startWrite(upload);
      await begun.append(noise(size));
      await begun.suspend();

      const session = await resume(driver, upload);
      await session.abort();

      expect(await driver.resumeWrite(upload)).toBeUndefined();
      expect(await residue()).toEqual([]);
    });

    test('knows nothing of an upload that never was', async () => {
      expect(await backend().driver.resumeWrite(uploadKey())).toBeUndefined();
    });

    test('goes by what is stored when the token is older than the upload', async () => {
      const { driver } = backend();
      const bytes = noise(17 * MIB);
      const upload = uploadKey();
      const first = await driver.startWrite(upload);
      await first.append(bytes.subarray(0, MIB));
      const old = await first.suspend();
      const second = await resume(driver, upload, old);
      await second.append(bytes.subarray(MIB));
      await second.suspend();

      const third = await resume(driver, upload, old);
      expect(third.offset).toBe(bytes.length);
      await third.commit(key('newer/data'));

      expect(sha256(await drain(await driver.open(key('newer/data'))))).toBe(sha256(bytes));
    });
  });

  describe('unfinished writes', () => {
    const FUTURE = new Date(Date.now() + 3_600_000);
    const PAST = new Date(Date.now() - 3_600_000);

    test.each([100, 9 * MIB])('tell when they were last stored: %d bytes', async (size) => {
      const { driver, another } = backend();
      const upload = uploadKey();
      expect(await driver.lastWrite(upload)).toBeUndefined();
      const session = await driver.startWrite(upload);
      await session.append(noise(size));
      await session.suspend();

      const last = await (await another()).lastWrite(upload);

      expect(Math.abs((last?.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
      await (await resume(driver, upload)).abort();
      expect(await driver.lastWrite(upload)).toBeUndefined();
    });

    test('are not swept while they are young, or elsewhere', async () => {
      const { driver, another } = backend();
      const upload = uploadKey();
      const bytes = noise(9 * MIB);
      const begun = await driver.startWrite(upload);
      await begun.append(bytes);
      await begun.suspend();
      const other = await another();

      expect(await other.sweepUnfinished('', PAST)).toBe(0);
      expect(await other.sweepUnfinished('elsewhere/', FUTURE)).toBe(0);

      const session = await resume(other, upload);
      expect(session.offset).toBe(bytes.length);
      await session.commit(key('unswept/data'));
      expect(sha256(await drain(await driver.open(key('unswept/data'))))).toBe(sha256(bytes));
    });
  });

  describe('two writers on one session', () => {
    test('never mix their bytes', async () => {
      const { driver, another } = backend();
      const upload = uploadKey();
      const head = noise(MIB);
      const tails = [noise(9 * MIB), noise(9 * MIB)];
      const begun = await driver.startWrite(upload);
      await begun.append(head);
      const token = await begun.suspend();
      const other = await another();

      const first = await resume(driver, upload, token);
      const second = await other.resumeWrite(upload, token).catch((error: unknown) => error);
      const contenders = traits.exclusiveSessions ? [first] : [first, second as WriteSession];
      await finishRace(contenders, tails);

      expect(isStorageError(second, 'SESSION_BUSY')).toBe(traits.exclusiveSessions);
      const stored = sha256(await drain(await driver.open(key('contested/data'))));
      const possible = tails.map((tail) => sha256(Buffer.concat([head, tail])));
      expect(possible).toContain(stored);
      await (await driver.resumeWrite(upload))?.abort();
    });
  });
}

/** Both append in turn and commit; at least one must succeed, and who does not must say SESSION_BUSY. */
async function finishRace(sessions: readonly WriteSession[], tails: readonly Buffer[]): Promise<void> {
  for (let offset = 0; offset < tails[0]!.length; offset += 1_000_000) {
    for (const [n, session] of sessions.entries()) {
      await session.append(tails[n]!.subarray(offset, offset + 1_000_000));
    }
  }
  const outcomes: string[] = [];
  for (const session of sessions) {
    outcomes.push(
      await session.commit(key('contested/data')).then(
        () => 'stored',
        (error: unknown) => (isStorageError(error, 'SESSION_BUSY') ? 'busy' : String(error)),
      ),
    );
    await session.abort().catch(() => undefined);
  }
  expect(outcomes).toContain('stored');
  expect(outcomes.filter((outcome) => outcome !== 'stored' && outcome !== 'busy')).toEqual([]);
}

async function resume(driver: StorageDriver, upload: StorageKey, token?: string): Promise<WriteSession> {
  const session = await driver.resumeWrite(upload, token);
  if (session === undefined) throw new Error('the upload is gone');
  return session;
}

async function appendAll(session: WriteSession, bytes: Uint8Array, sizes: readonly number[]): Promise<void> {
  for (let offset = 0, n = 0; offset < bytes.length; n++) {
    const chunk = bytes.subarray(offset, offset + sizes[n % sizes.length]!);
    await session.append(chunk);
    offset += chunk.length;
  }
}
