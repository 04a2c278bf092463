import { describe, expect, it } from 'vitest';

import { FairQueue } from './fair-queue.ts';

function queueOf(max: number, ...entries: string[]): FairQueue<string> {
  const queue = new FairQueue<string>(max, ([owner = '']) => owner);
  for (const entry of entries) queue.add(entry);
  return queue;
}

function drained(queue: FairQueue<string>): string[] {
  const taken: string[] = [];
  for (let entry = queue.take(); entry !== undefined; entry = queue.take()) taken.push(entry);
  return taken;
}

describe('FairQueue', () => {
  it('serves owners in turn, and each in the order in which it came', () => {
    expect(drained(queueOf(9, 'a1', 'a2', 'a3', 'b1', 'c1', 'b2'))).toEqual([
      'a1',
      'b1',
      'c1',
      'a2',
      'b2',
      'a3',
    ]);
  });

  it('drops the newest entry of the owner with most of them when it is full', () => {
    const queue = queueOf(4, 'a1', 'a2', 'a3', 'b1');

    expect(queue.add('a4')).toBe('a4');
    expect(queue.add('b2')).toBe('a3');
    expect(queue.add('c1')).toBe('a2');
    expect(drained(queue)).toEqual(['a1', 'b1', 'c1', 'b2']);
  });

  it('refuses the new entry when nobody has more', () => {
    const queue = queueOf(2, 'a1', 'b1');

    expect(queue.add('c1')).toBe('c1');
    expect(queue.add('b2')).toBe('b2');
  });

  it('has room again where an entry was taken out', () => {
    const queue = queueOf(2, 'a1', 'b1');

    expect([queue.remove('a1'), queue.remove('a1')]).toEqual([true, false]);
    expect(queue.add('c1')).toBeUndefined();
    expect(queue.takeAll()).toEqual(['b1', 'c1']);
    expect(queue.add('d1')).toBeUndefined();
  });
});
