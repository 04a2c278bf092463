import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, test } from 'vitest';

import { BufferPool } from '../storage/buffer-pool.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createFilesystemDriver } from '../storage/drivers/filesystem.ts';
import { createMemoryDriver } from '../storage/drivers/memory.ts';
import { mapConcurrently } from './concurrency.ts';
import type { Digest } from './digest.ts';
import { revisionLinkKey, tagIndexKey, tagPrefix } from './layout.ts';
import { parseTag } from './reference.ts';
import { Tags } from './tags.ts';
import { call, digestOf, REPOSITORY } from './testing.ts';

const TAG = parseTag('latest');
const [OLD, DELETED, NEW] = [digestOf('old'), digestOf('deleted'), digestOf('new')];

/** Two actors over one real driver, whose calls run one at a time in the order of a schedule. */
class Stage {
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #ended = new Set<string>();
  #changed = Promise.withResolvers<void>();

  /** The driver as one actor sees it: every call waits for its turn. */
  actor(name: string, driver: StorageDriver): StorageDriver {
    this.#waiting.set(name, []);
    return new Proxy(driver, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== 'function') return value;
        return async (...parameters: readonly unknown[]): Promise<unknown> => {
          await this.#turn(name);
          try {
            const result: unknown = await Reflect.apply(value, target, parameters);
            return result;
          } finally {
            this.#tell();
          }
        };
      },
    });
  }

  /** Runs both to their end. @returns the order in which their calls ran */
  async play(schedule: string, actors: Readonly<Record<string, Promise<unknown>>>): Promise<string> {
    for (const [name, end] of Object.entries(actors)) {
      const leave = (): void => {
        this.#ended.add(name);
        this.#tell();
      };
      end.then(leave, leave);
    }
    let played = '';
    const names = Object.keys(actors);
    while (this.#ended.size < names.length) {
      const wanted = schedule[played.length] ?? '';
      const next =
        this.#ended.has(wanted) || wanted === '' ? names.find((name) => !this.#ended.has(name)) : wanted;
      if (next !== undefined && (await this.#step(next))) played += next;
    }
    await Promise.all(Object.values(actors));
    return played;
  }

  /** @returns false when the actor ended without another call */
  async #step(name: string): Promise<boolean> {
    for (;;) {
      if (this.#ended.has(name)) return false;
      const changed = this.#changed.promise;
      const go = this.#waiting.get(name)?.shift();
      if (go === undefined) {
        await changed;
        continue;
      }
      go();
      await changed;
      // What follows from the result, up to the next call or the end.
      await sleep(0);
      return true;
    }
  }

  async #turn(name: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.get(name)?.push(resolve);
    this.#tell();
    await promise;
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/**
 * Every way in which the four calls of a move that nobody disturbs can fall between the calls of a delete, the last
 * one soon or late.
 *
 * @param share one of so many, where each takes long
 */
function schedules(calls: number, share: number): string[] {
  const all = new Set<string>();
  const positions = Array.from({ length: calls + 1 }, (_, index) => index);
  const upTo = (end: number): number[] => positions.slice(0, end + 1);
  for (const third of positions) {
    for (const [first, second] of upTo(third).flatMap((end) => upTo(end).map((start) => [start, end]))) {
      for (const fourth of [third, Math.min(third + 1, calls), calls]) {
        all.add(scheduleOf([first, second, third, fourth], calls));
      }
    }
  }
  return [...all].filter((_, index) => index % share === 0);
}

/** @param moves after how many calls of the delete each call of the move comes; undefined counts as zero */
function scheduleOf(moves: readonly (number | undefined)[], calls: number): string {
  const order = moves.map((at = 0, index) => 'd'.repeat(at - (moves[index - 1] ?? 0)));
  return `${order.map((deletes) => `${deletes}m`).join('')}${'d'.repeat(calls - (moves.at(-1) ?? 0))}`;
}

async function point(driver: StorageDriver, digest: Digest): Promise<void> {
  await driver.put(revisionLinkKey(REPOSITORY, digest), Buffer.from(digest));
  await new Tags(driver, undefined).point(REPOSITORY, TAG, digest, call());
}

/** The driver of a process that dies after so many calls. */
function dying(driver: StorageDriver, calls: number): StorageDriver {
  let left = calls;
  return new Proxy(driver, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property);
      if (typeof value !== 'function') return value;
      return async (...parameters: readonly unknown[]): Promise<unknown> => {
        if (left === 0) throw new Error('died');
        left -= 1;
        const result: unknown = await Reflect.apply(value, target, parameters);
        return result;
      };
    },
  });
}

const BACK_ENDS: Record<string, () => Promise<{ driver: StorageDriver; end: () => Promise<void> }>> = {
  memory: async () => ({ driver: createMemoryDriver(), end: async () => undefined }),
  filesystem: async () => {
    const root = await mkdtemp(join(tmpdir(), 'tags-'));
    const driver = await createFilesystemDriver({ root, buffers: new BufferPool(1 << 20), sync: false });
    return { driver, end: () => rm(root, { recursive: true }) };
  },
};

describe.each(Object.keys(BACK_ENDS))('on %s, two replicas', (backEnd) => {
  const share = backEnd === 'memory' ? 1 : 25;

  /** Deletes what points to DELETED while the tag moves to `to`. @returns where it points, and what ran */
  async function race(
    history: readonly Digest[],
    to: Digest,
    schedule: string,
  ): Promise<{ target: string | undefined; order: string }> {
    const { driver, end } = (await BACK_ENDS[backEnd]?.()) ?? {};
    if (driver === undefined || end === undefined) throw new Error(`no ${backEnd}`);
    try {
      for (const digest of [...history, DELETED]) await point(driver, digest);
      await driver.put(revisionLinkKey(REPOSITORY, to), Buffer.from(to));
      const stage = new Stage();
      const deleting = new Tags(stage.actor('d', driver), undefined);
      const moving = new Tags(stage.actor('m', driver), undefined);
      const played = await stage.play(schedule, {
        d: deleting.deletePointingTo(REPOSITORY, DELETED, call()),
        m: moving.point(REPOSITORY, TAG, to, call()),
      });
      return { target: await new Tags(driver, undefined).resolve(REPOSITORY, TAG, call()), order: played };
    } finally {
      await end();
    }
  }

  test('keep a tag that one moves while the other deletes what it pointed to, however they interleave', async () => {
    const played = new Set<string>();
    await mapConcurrently(schedules(10, share), 8, async (schedule) => {
      const { target, order } = await race([], NEW, schedule);
      expect({ order, target }).toEqual({ order, target: NEW });
      played.add(order);
    });

    expect(played.size).toBeGreaterThan(400 / share);
  });

  test('keep a tag that one moves back to what it was before', async () => {
    await mapConcurrently(schedules(10, share), 8, async (schedule) => {
      const { target, order } = await race([OLD], OLD, schedule);
      expect({ order, target }).toEqual({ order, target: OLD });
    });
  });

  test.each([{ before: [OLD] }, { before: [] }])(
    'never show a tag that points to nothing, while one moves it and the other deletes it, from $before.length entries',
    async ({ before }) => {
      await mapConcurrently(schedules(8, share), 8, async (schedule) => {
        const { driver, end } = (await BACK_ENDS[backEnd]?.()) ?? {};
        if (driver === undefined || end === undefined) throw new Error(`no ${backEnd}`);
        try {
          for (const digest of before) await point(driver, digest);
          const stage = new Stage();
          const order = await stage.play(schedule, {
            d: new Tags(stage.actor('d', driver), undefined).delete(REPOSITORY, TAG, call()),
            m: new Tags(stage.actor('m', driver), undefined).point(REPOSITORY, TAG, NEW, call()),
          });
          const target = await new Tags(driver, undefined).resolve(REPOSITORY, TAG, call());
          const { entries } = await driver.list(tagPrefix(REPOSITORY, TAG));
          expect({ order, listed: entries.length > 0 }).toEqual({ order, listed: target === NEW });
        } finally {
          await end();
        }
      });
    },
  );

  test('leave nothing of a tag that nobody moves', async () => {
    const { driver, end } = (await BACK_ENDS[backEnd]?.()) ?? {};
    if (driver === undefined || end === undefined) throw new Error(`no ${backEnd}`);
    try {
      for (const digest of [OLD, NEW, DELETED]) await point(driver, digest);

      await new Tags(driver, undefined).deletePointingTo(REPOSITORY, DELETED, call());

      expect((await driver.list(tagPrefix(REPOSITORY, TAG))).entries).toEqual([]);
    } finally {
      await end();
    }
  });
});

test('a tag is not put back to where a process that died did not get it', async () => {
  const driver = createMemoryDriver();
  await point(driver, DELETED);
  await driver.put(revisionLinkKey(REPOSITORY, NEW), Buffer.from(NEW));
  await driver.put(tagIndexKey(REPOSITORY, TAG, NEW), Buffer.from(NEW));

  await new Tags(driver, undefined).deletePointingTo(REPOSITORY, DELETED, call());

  expect((await driver.list(tagPrefix(REPOSITORY, TAG))).entries).toEqual([]);
});

const CHANGES: Record<string, (tags: Tags) => Promise<unknown>> = {
  'deletes the manifest of the tag': (tags) => tags.deletePointingTo(REPOSITORY, DELETED, call()),
  'deletes the tag': (tags) => tags.delete(REPOSITORY, TAG, call()),
  'moves the tag': (tags) => tags.point(REPOSITORY, TAG, NEW, call()),
};

describe.each(Object.keys(CHANGES))('a process that dies while it %s', (change) => {
  test.each([
    { before: [], what: 'of a new tag' },
    { before: [DELETED], what: 'of a tag that was never moved' },
    { before: [OLD, NEW, DELETED], what: 'of a tag that was moved' },
  ])('leaves nothing $what that is listed and points to nothing', async ({ before }) => {
    for (let calls = 0, died = true; died; calls++) {
      const driver = createMemoryDriver();
      for (const digest of before) await point(driver, digest);

      const result = CHANGES[change]?.(new Tags(dying(driver, calls), undefined));
      died = await Promise.resolve(result).then(
        () => false,
        () => true,
      );

      const target = await new Tags(driver, undefined).resolve(REPOSITORY, TAG, call());
      const listed = (await driver.list(tagPrefix(REPOSITORY, TAG))).entries.length > 0;
      expect({ calls, listed }).toEqual({ calls, listed: target !== undefined });
    }
  });
});

test('services of one storage wait for each other', async () => {
  const driver = createMemoryDriver();
  const gate = Promise.withResolvers<void>();
  const linked = gate.promise;
  const pointing = new Tags(driver, undefined).point(REPOSITORY, TAG, NEW, { ...call(), linked });
  const deleting = new Tags(driver, undefined).delete(REPOSITORY, TAG, call());

  gate.resolve();
  await pointing;

  expect(await deleting).toBe(true);
});

test('a tag with a long history goes as a whole', async () => {
  const driver = createMemoryDriver();
  for (let number = 0; number < 1500; number++) {
    const digest = digestOf(`${number}`);
    await driver.put(tagIndexKey(REPOSITORY, TAG, digest), Buffer.from(digest));
  }
  await point(driver, DELETED);
  const tags = new Tags(driver, undefined);

  expect(await tags.delete(REPOSITORY, TAG, call())).toBe(true);

  expect((await driver.list(tagPrefix(REPOSITORY, TAG))).entries).toEqual([]);
  expect(await tags.delete(REPOSITORY, TAG, call())).toBe(false);
});
