import { describe, expect, test } from 'vitest';

import { isStorageError } from '../../../src/registry/storage/errors.ts';
import { drain, type DriverTraits, key, noise, sha256, useBackend, write } from './fixture.ts';

/** open and the life of a ByteReader. */
export function describeReading(traits: DriverTraits): void {
  const backend = useBackend(traits);

  describe('open', () => {
    test.each([0, 1, 65_536, 65_537, 3_000_001])('streams an object of %d bytes', async (size) => {
      const { driver } = backend();
      const bytes = noise(size);
      await write(driver, 'blob/data', bytes);

      const reader = await driver.open(key('blob/data'));

      expect(reader?.size).toBe(size);
      expect(sha256(await drain(reader))).toBe(sha256(bytes));
    });

    test.each([
      ['the first byte', 0, 0],
      ['the last byte', 1_999_999, 1_999_999],
      ['the middle', 700_000, 1_500_000],
      ['a few bytes', 1000, 1999],
      ['everything', 0, 1_999_999],
    ])('reads a range: %s', async (_title, start, end) => {
      const { driver } = backend();
      const bytes = noise(2_000_000);
      await write(driver, 'blob/data', bytes);

      const reader = await driver.open(key('blob/data'), { start, end });

      expect(reader?.size).toBe(end - start + 1);
      expect((await drain(reader)).equals(bytes.subarray(start, end + 1))).toBe(true);
    });

    test.each([
      ['that begins behind the end', 100, 100],
      ['that ends behind the end', 50, 100],
      ['far away', 5000, 6000],
    ])('refuses a range %s', async (_title, start, end) => {
      const { driver } = backend();
      await driver.put(key('blob'), noise(100));

      await expect(driver.open(key('blob'), { start, end })).rejects.toSatisfy((error) =>
        isStorageError(error, 'INVALID_RANGE'),
      );
    });

    test('refuses a range of an empty object', async () => {
      const { driver } = backend();
      await driver.put(key('empty'), Buffer.of());

      await expect(driver.open(key('empty'), { start: 0, end: 0 })).rejects.toSatisfy((error) =>
        isStorageError(error, 'INVALID_RANGE'),
      );
    });

    test('keeps a view until the second following read', async () => {
      const { driver } = backend();
      const bytes = noise(3_000_000);
      await write(driver, 'blob/data', bytes);
      const reader = (await driver.open(key('blob/data')))!;
      const late: Buffer[] = [];
      let previous: Uint8Array = Buffer.of();

      // Every view is looked at only after the next read has returned.
      for (let view = await reader.read(); view !== undefined; view = await reader.read()) {
        late.push(Buffer.from(previous));
        previous = view;
      }
      late.push(Buffer.from(previous));

      expect(sha256(Buffer.concat(late))).toBe(sha256(bytes));
      await reader.close();
    });

    test('says the end again and again, and after close', async () => {
      const { driver } = backend();
      await driver.put(key('short'), Buffer.from('x'));
      const reader = (await driver.open(key('short')))!;

      await reader.read();

      expect(await reader.read()).toBeUndefined();
      expect(await reader.read()).toBeUndefined();
      await reader.close();
      await reader.close();
      expect(await reader.read()).toBeUndefined();
    });

    test('closes in the middle, also during a read, and reads the object anew', async () => {
      const { driver } = backend();
      const bytes = noise(3_000_000);
      await write(driver, 'blob/data', bytes);

      for (let round = 0; round < 5; round++) {
        const reader = (await driver.open(key('blob/data')))!;
        if (round % 2 === 0) await reader.read();
        const pending = reader.read().catch(() => undefined);
        await reader.close();
        await pending;
      }

      expect(sha256(await drain(await driver.open(key('blob/data'))))).toBe(sha256(bytes));
    });

    test('stops when its signal aborts', async () => {
      const { driver } = backend();
      await write(driver, 'blob/data', noise(3_000_000));
      const controller = new AbortController();
      const reader = (await driver.open(key('blob/data'), undefined, { signal: controller.signal }))!;
      await reader.read();
      const reason = new Error('the client left');

      controller.abort(reason);

      await expect(reader.read()).rejects.toBe(reason);
      await reader.close();
    });

    test('serves many readers at once', async () => {
      const { driver } = backend();
      const blobs = [noise(1_000_000), noise(700_001)];
      await write(driver, 'blob/0', blobs[0]!);
      await write(driver, 'blob/1', blobs[1]!);

      const digests = await Promise.all(
        Array.from({ length: 12 }, async (_, n) =>
          sha256(await drain(await driver.open(key(`blob/${n % 2}`)))),
        ),
      );

      expect(digests).toEqual(digests.map((_, n) => sha256(blobs[n % 2]!)));
    });

    test('goes on reading the old content while it is overwritten or deleted, or fails, but never mixes', async () => {
      const { driver } = backend();
      const before = noise(3_000_000);
      await write(driver, 'blob/data', before);
      const reader = (await driver.open(key('blob/data')))!;
      await reader.read();
      await reader.close();
      const whole = (await driver.open(key('blob/data')))!;

      await write(driver, 'blob/data', noise(3_000_000));

      const outcome = await drain(whole).then(
        (bytes) => sha256(bytes),
        (error: unknown) => (isStorageError(error, 'READ_FAILED') ? sha256(before) : String(error)),
      );
      expect(outcome).toBe(sha256(before));
    });
  });
}
