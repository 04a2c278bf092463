import { describe, expect, test } from 'vitest';

import type { ByteSource } from './byte-source.ts';
import {
  bodyOf,
  brokenAfter,
  call,
  contentOf,
  createTestRegistry,
  digestOf,
  keysOf,
  REPOSITORY,
  someBytes,
} from './testing.ts';

describe('the last bytes', () => {
  test('may be sent again without saying where they begin when the first attempt broke off', async () => {
    const registry = createTestRegistry();
    const bytes = someBytes(300_000);
    const site = { repository: REPOSITORY, id: (await registry.uploads.start(REPOSITORY, call())).id };
    await registry.uploads.append(REPOSITORY, site.id, bodyOf(bytes.subarray(0, 1000)), call());
    const rest = bytes.subarray(1000);
    const complete = (data: ByteSource): Promise<unknown> =>
      registry.uploads.complete(site, digestOf(bytes), { data, length: rest.length }, call());

    await expect(complete(brokenAfter(rest.subarray(0, 100_000)))).rejects.toThrow('aborted');
    expect(await registry.uploads.status(REPOSITORY, site.id, call())).toMatchObject({ offset: 101_000 });
    await complete(bodyOf(rest).data);

    expect((await contentOf(registry, digestOf(bytes))).equals(bytes)).toBe(true);
    expect((await keysOf(registry.storage)).filter((key) => key.includes('/_uploads/'))).toEqual([]);
  });

  test('of another length than before are taken as further ones', async () => {
    const registry = createTestRegistry();
    const site = { repository: REPOSITORY, id: (await registry.uploads.start(REPOSITORY, call())).id };
    await registry.uploads.append(REPOSITORY, site.id, bodyOf('a'), call());
    const broken = { data: brokenAfter(Buffer.from('b')), length: 5 };
    await expect(registry.uploads.complete(site, digestOf('abc'), broken, call())).rejects.toThrow('aborted');

    await registry.uploads.complete(site, digestOf('abc'), bodyOf('c', { length: 1 }), call());

    expect((await contentOf(registry, digestOf('abc'))).toString()).toBe('abc');
  });
});
