import { describe, expect, test } from 'vitest';

import { isStorageError } from '../../../src/registry/storage/errors.ts';
import { type DriverTraits, key, noise, text, useBackend } from './fixture.ts';

/** stat, get, put, move, delete, redirectUrl, check, capabilities. */
export function describeObjects(traits: DriverTraits): void {
  const backend = useBackend(traits);

  describe('put, get and stat', () => {
    test('reads back what was written, at once and from another process', async () => {
      const { driver, another } = backend();

      expect(await driver.put(key('a/b/link'), Buffer.from('content'))).toBe(true);

      expect(text(await driver.get(key('a/b/link'), 100))).toBe('content');
      const other = await another();
      expect(text(await other.get(key('a/b/link'), 100))).toBe('content');
      expect(await other.stat(key('a/b/link'))).toMatchObject({ size: 7 });
    });

    test('stores an empty object', async () => {
      const { driver } = backend();

      await driver.put(key('empty'), new Uint8Array());

      expect((await driver.get(key('empty'), 0))?.length).toBe(0);
      expect(await driver.stat(key('empty'))).toMatchObject({ size: 0 });
    });

    test('keeps a copy: the caller may use the bytes again', async () => {
      const { driver } = backend();
      const bytes = Buffer.from('first');

      await driver.put(key('copy'), bytes);
      bytes.fill(0);

      expect(text(await driver.get(key('copy'), 100))).toBe('first');
    });

    test('overwrites', async () => {
      const { driver } = backend();
      await driver.put(key('a/link'), Buffer.from('a longer first value'));

      expect(await driver.put(key('a/link'), Buffer.from('second'))).toBe(true);

      expect(text(await driver.get(key('a/link'), 100))).toBe('second');
      expect(await driver.stat(key('a/link'))).toMatchObject({ size: 6 });
    });

    test('writes what is rebuildable as visibly as anything else', async () => {
      const { driver, another } = backend();
      const options = { rebuildable: true };

      expect(await driver.put(key('index/entry'), Buffer.from('1'), options)).toBe(true);
      expect(await driver.put(key('index/entry'), Buffer.from('2'), options)).toBe(true);
      expect(await driver.put(key('index/entry'), Buffer.from('3'), { ...options, ifAbsent: true })).toBe(
        false,
      );

      const other = await another();
      expect(text(await other.get(key('index/entry'), 100))).toBe('2');
      expect((await other.list('index/')).entries).toEqual([{ name: 'entry' }]);
    });

    test('tells when it was written', async () => {
      const { driver } = backend();
      await driver.put(key('dated'), Buffer.from('x'));

      const found = await driver.stat(key('dated'));

      expect(Math.abs((found?.modifiedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    });

    test('knows nothing of a key that is missing, or that is only a folder, or below an object', async () => {
      const { driver } = backend();
      await driver.put(key('folder/object'), Buffer.from('x'));

      for (const missing of ['nothing', 'folder', 'folder/nothing', 'folder/object/below']) {
        expect(await driver.stat(key(missing))).toBeUndefined();
        expect(await driver.get(key(missing), 10)).toBeUndefined();
        expect(await driver.open(key(missing))).toBeUndefined();
      }
    });

    test('refuses to read more than the limit', async () => {
      const { driver } = backend();
      await driver.put(key('limited'), noise(1000));

      expect((await driver.get(key('limited'), 1000))?.length).toBe(1000);
      await expect(driver.get(key('limited'), 999)).rejects.toSatisfy((error) =>
        isStorageError(error, 'TOO_LARGE'),
      );
    });

    test('stores a manifest of the largest size', async () => {
      const { driver } = backend();
      const bytes = noise(4 << 20);

      await driver.put(key('manifest'), bytes);

      expect(bytes.equals((await driver.get(key('manifest'), 4 << 20)) ?? Buffer.of())).toBe(true);
    });

    test('accepts every character that a key can have', async () => {
      const { driver } = backend();
      const unusual = [
        'repositories/a.b_c-d/e__f/_manifests/tags/V1.0_x-Y/current/link',
        'signature/sha256/abc==',
        'a+b=c/d',
        '..leading/trailing../_x/-y',
        `long/${'n'.repeat(255)}/${'m'.repeat(255)}/link`,
      ];

      for (const name of unusual) await driver.put(key(name), Buffer.from(name));

      for (const name of unusual) expect(text(await driver.get(key(name), 1000))).toBe(name);
    });
  });

  describe('put with ifAbsent', () => {
    test('writes only what is not there', async () => {
      const { driver } = backend();

      expect(await driver.put(key('once/link'), Buffer.from('first'), { ifAbsent: true })).toBe(true);
      expect(await driver.put(key('once/link'), Buffer.from('second'), { ifAbsent: true })).toBe(false);

      expect(text(await driver.get(key('once/link'), 100))).toBe('first');
    });

    test('has one winner among many writers where the driver says that it is atomic', async () => {
      const { driver, another } = backend();
      await driver.check();
      const drivers = [driver, await another()];

      const results = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          drivers[n % 2]!.put(key('race/link'), Buffer.from(`writer ${n}`), { ifAbsent: true }),
        ),
      );

      const winners = results.flatMap((won, n) => (won ? [`writer ${n}`] : []));
      const stored = text(await driver.get(key('race/link'), 100));
      expect(winners).toContain(stored);
      expect(driver.capabilities.conditionalPut ? winners : [stored]).toEqual([stored]);
    });
  });

  describe('move', () => {
    test('renames an object and overwrites the target', async () => {
      const { driver } = backend();
      await driver.put(key('old/place/link'), Buffer.from('moved'));
      await driver.put(key('new/link'), Buffer.from('in the way'));

      await driver.move(key('old/place/link'), key('new/link'));

      expect(await driver.stat(key('old/place/link'))).toBeUndefined();
      expect(text(await driver.get(key('new/link'), 100))).toBe('moved');
      expect((await driver.list('old/', {})).entries).toEqual([]);
    });

    test('refuses when there is nothing to move, and makes no folder for it', async () => {
      const { driver } = backend();

      await expect(driver.move(key('nothing'), key('some/where'))).rejects.toSatisfy((error) =>
        isStorageError(error, 'NOT_FOUND'),
      );

      expect((await driver.list('', { delimiter: '/' })).entries).toEqual([]);
    });
  });

  describe('delete', () => {
    test('removes objects and the folders that became empty, and no other', async () => {
      const { driver } = backend();
      await driver.put(key('repo/tags/one/current/link'), Buffer.from('1'));
      await driver.put(key('repo/tags/two/current/link'), Buffer.from('2'));

      await driver.delete([key('repo/tags/one/current/link')]);

      const { entries } = await driver.list('repo/tags/', { delimiter: '/' });
      expect(entries.map((entry) => entry.name)).toEqual(['two/']);
    });

    test('takes missing keys and folders as done', async () => {
      const { driver } = backend();
      await driver.put(key('repo/link'), Buffer.from('x'));

      await driver.delete([key('nothing'), key('no/where/link'), key('repo')]);
      await driver.delete([]);

      expect(text(await driver.get(key('repo/link'), 10))).toBe('x');
    });

    test('takes more keys than fit into one request', async () => {
      const { driver } = backend();
      const keys = Array.from({ length: 1005 }, (_, n) => key(`many/${n % 10}/${n}`));
      const present = [...keys.slice(0, 5), ...keys.slice(-5)];
      await Promise.all(present.map((name) => driver.put(name, Buffer.from('x'))));

      await driver.delete(keys);

      expect((await driver.list('many/')).entries).toEqual([]);
    });

    test('lets writers make folders that it is just removing', async () => {
      const { driver, another } = backend();
      const other = await another();

      await Promise.all(
        Array.from({ length: 20 }, async (_, n) => {
          const name = key(`busy/folder/${n}/link`);
          await driver.put(name, Buffer.from('x'));
          await other.delete([name]);
          await other.put(name, Buffer.from('y'));
        }),
      );

      expect((await driver.list('busy/folder/', { delimiter: '/' })).entries).toHaveLength(20);
    });
  });

  test('redirects exactly when its capabilities say so', async () => {
    const { driver } = backend();
    await driver.put(key('blob'), Buffer.from('x'));

    const url = await driver.redirectUrl(key('blob'));

    expect(url !== undefined).toBe(driver.capabilities.redirect);
  });

  test('passes its check again and again and leaves nothing behind', async () => {
    const { driver } = backend();

    await driver.check();
    await driver.check();

    expect((await driver.list('')).entries).toEqual([]);
  });

  test('does nothing for a caller that has gone', async () => {
    const { driver } = backend();
    const reason = new Error('the client left');
    const options = { signal: AbortSignal.abort(reason) };

    await expect(driver.put(key('late'), Buffer.from('x'), options)).rejects.toBe(reason);
    await expect(driver.get(key('late'), 1, options)).rejects.toBe(reason);
    await expect(driver.stat(key('late'), options)).rejects.toBe(reason);
    await expect(driver.open(key('late'), undefined, options)).rejects.toBe(reason);
    await expect(driver.list('', options)).rejects.toBe(reason);
    await expect(driver.move(key('late'), key('later'), options)).rejects.toBe(reason);
    await expect(driver.delete([key('late')], options)).rejects.toBe(reason);
    await expect(driver.startWrite(key('late/data'), options)).rejects.toBe(reason);
    await expect(driver.resumeWrite(key('late/data'), undefined, options)).rejects.toBe(reason);

    expect(await driver.stat(key('late'))).toBeUndefined();
  });
}
