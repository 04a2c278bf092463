import { describe, expect, test } from 'vitest';

import { parseRepositoryName } from './reference.ts';
import { RepositoryGuard } from './repository-guard.ts';

const NAME = parseRepositoryName('library/alpine');
const OTHER = parseRepositoryName('library');

/** Work that notes its beginning and its end, and ends when it is told to. */
function work(
  events: string[],
  name: string,
): { readonly run: () => Promise<void>; readonly end: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    events.push(`${name} begins`);
    await promise;
    events.push(`${name} ends`);
  };
  return { run, end: resolve };
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

function fail(): Promise<never> {
  return Promise.reject(new Error('refused'));
}

describe('RepositoryGuard', () => {
  test('lets a removal wait for the pushes that run, and later pushes for the removal', async () => {
    const guard = new RepositoryGuard();
    const events: string[] = [];
    const [first, second, removal, late] = ['first', 'second', 'removal', 'late'].map((name) =>
      work(events, name),
    );
    if (!first || !second || !removal || !late) throw new Error('four were made');
    const all = [guard.push(NAME, first.run), guard.push(NAME, second.run)];
    all.push(guard.remove(NAME, removal.run), guard.push(NAME, late.run));
    await settle();
    expect(events).toEqual(['first begins', 'second begins']);

    first.end();
    await settle();
    expect(events).toEqual(['first begins', 'second begins', 'first ends']);
    second.end();
    await settle();
    expect(events.slice(3)).toEqual(['second ends', 'removal begins']);
    late.end();
    removal.end();
    await Promise.all(all);
    expect(events.slice(5)).toEqual(['removal ends', 'late begins', 'late ends']);
  });

  test('keeps one removal from another, and no repository from another one', async () => {
    const guard = new RepositoryGuard();
    const events: string[] = [];
    const [first, second, other] = ['first', 'second', 'other'].map((name) => work(events, name));
    if (!first || !second || !other) throw new Error('three were made');
    const all = [guard.remove(NAME, first.run), guard.remove(NAME, second.run), guard.push(OTHER, other.run)];
    await settle();
    expect(events.toSorted()).toEqual(['first begins', 'other begins']);

    for (const { end } of [first, second, other]) end();
    await Promise.all(all);
    expect(events.indexOf('second begins')).toBeGreaterThan(events.indexOf('first ends'));
  });

  test('goes on after failures', async () => {
    const guard = new RepositoryGuard();
    await expect(guard.push(NAME, fail)).rejects.toThrow('refused');
    await expect(guard.remove(NAME, fail)).rejects.toThrow('refused');

    expect(await guard.push(NAME, () => Promise.resolve('pushed'))).toBe('pushed');
  });
});
