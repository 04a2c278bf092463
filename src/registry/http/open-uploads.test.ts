import { describe, expect, it } from 'vitest';

import { parseRepositoryName, parseUploadId } from '../distribution/reference.ts';
import { OpenUploads } from './open-uploads.ts';

const repository = parseRepositoryName('a/b');
const DAY = 24 * 3600 * 1000;

function uploadOf(number: number) {
  const id = parseUploadId(`00000000-0000-4000-8000-${String(number).padStart(12, '0')}`);
  return { repository, id };
}

function start(open: OpenUploads, client: string, number: number, now = 0): void {
  open.starting(client);
  open.started(client, uploadOf(number), now);
}

describe('OpenUploads', () => {
  it('counts what a client starts and ends', () => {
    const open = new OpenUploads();
    start(open, 'a', 1);
    start(open, 'a', 2);
    start(open, 'b', 3);
    open.starting('a');

    expect([open.count('a'), open.count('b'), open.count('c')]).toEqual([3, 1, 0]);
    open.failed('a');
    open.ended(uploadOf(1));
    open.ended(uploadOf(1));
    open.ended(uploadOf(99));
    open.ended({ ...uploadOf(2), repository: parseRepositoryName('a/c') });
    expect([open.count('a'), open.count('b')]).toEqual([1, 1]);
  });

  it('remembers nothing of clients that have nothing open', () => {
    const open = new OpenUploads();
    for (let number = 0; number < 100; number += 1) {
      start(open, `client ${number}`, number);
      open.starting(`other ${number}`);
      open.failed(`other ${number}`);
    }
    for (let number = 0; number < 100; number += 1) open.ended(uploadOf(number));

    expect([open.size, open.clients]).toEqual([0, 0]);
  });

  it('forgets sessions after a day', () => {
    const open = new OpenUploads();
    start(open, 'a', 1, 0);
    start(open, 'a', 2, 1000);

    start(open, 'b', 3, DAY + 500);

    expect([open.count('a'), open.count('b'), open.size]).toEqual([1, 1, 2]);
  });

  it('remembers a bounded number of sessions, the newest', () => {
    const open = new OpenUploads(100);
    for (let number = 0; number < 10_000; number += 1) start(open, `client ${number % 1000}`, number);

    expect(open.size).toBe(100);
    expect(open.clients).toBe(100);
    expect(open.count('client 999')).toBe(1);
  });

  it('names a few sessions in turn, at most once in a second', () => {
    const open = new OpenUploads();
    for (let number = 0; number < 20; number += 1) start(open, 'a', number);
    const named = (now: number): number[] => open.doubtful('a', now).map(({ id }) => Number(id.slice(-12)));

    expect(named(0)).toEqual(Array.from({ length: 16 }, (_, index) => index));
    expect(named(999)).toEqual([]);
    expect(named(1000)).toEqual([16, 17, 18, 19, ...Array.from({ length: 12 }, (_, index) => index)]);
    expect(open.count('a')).toBe(20);
    expect(open.doubtful('nobody', 0)).toEqual([]);
    expect(open.clients).toBe(1);
  });
});
