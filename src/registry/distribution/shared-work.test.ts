import { expect, test } from 'vitest';

import { SharedWork } from './shared-work.ts';

function never(): AbortSignal {
  return new AbortController().signal;
}

test('is done once for all who want it at the same time, and again afterwards', async () => {
  const shared = new SharedWork();
  const gate = Promise.withResolvers<void>();
  let runs = 0;
  const work = async (): Promise<void> => {
    runs++;
    await gate.promise;
  };

  const all = [
    shared.run('a', never(), work),
    shared.run('a', never(), work),
    shared.run('b', never(), work),
  ];
  gate.resolve();
  await Promise.all(all);
  expect(runs).toBe(2);

  await shared.run('a', never(), work);
  expect(runs).toBe(3);
});

test('goes on without a caller who left, and stops when the last one has', async () => {
  const shared = new SharedWork();
  const [first, second] = [new AbortController(), new AbortController()];
  let seen: AbortSignal | undefined;
  const work = async (signal: AbortSignal): Promise<void> => {
    seen = signal;
    await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('stopped')));
    });
  };
  const one = shared.run('a', first.signal, work);
  const other = shared.run('a', second.signal, work);

  first.abort(new Error('first has gone'));
  await expect(one).rejects.toThrow('first has gone');
  expect(seen?.aborted).toBe(false);
  second.abort(new Error('second has gone'));
  await expect(other).rejects.toThrow('second has gone');
  expect(seen?.aborted).toBe(true);
});

test('begins anew for a caller who comes after the last one left', async () => {
  const shared = new SharedWork();
  const first = new AbortController();
  const stuck = shared.run('a', first.signal, () => new Promise(() => undefined));
  first.abort(new Error('gone'));
  await expect(stuck).rejects.toThrow('gone');

  await expect(shared.run('a', never(), async () => undefined)).resolves.toBeUndefined();
});

test('fails for everybody when it fails', async () => {
  const shared = new SharedWork();

  await expect(shared.run('a', never(), () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  await expect(shared.run('a', never(), async () => undefined)).resolves.toBeUndefined();
});

test('does nothing for a caller who has gone already', async () => {
  const shared = new SharedWork();

  await expect(
    shared.run('a', AbortSignal.abort(new Error('gone')), async () => {
      throw new Error('was begun');
    }),
  ).rejects.toThrow('gone');
});
