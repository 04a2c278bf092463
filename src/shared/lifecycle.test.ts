import { EventEmitter } from 'node:events';

import { describe, expect, it } from 'vitest';

import { runUntilSignal } from './lifecycle.ts';

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];

  exit(code: number): void {
    this.exits.push(code);
  }
}

describe('runUntilSignal', () => {
  it('stops at the first signal and leaves no listener', async () => {
    const process = new FakeProcess();
    const reasons: string[] = [];
    const done = runUntilSignal(async (reason) => void reasons.push(reason), process);

    process.emit('SIGINT');
    await done;

    expect(reasons).toEqual(['SIGINT']);
    expect(process.exits).toEqual([]);
    expect(process.eventNames()).toEqual([]);
  });

  it('does not wait after a second signal', async () => {
    const process = new FakeProcess();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = runUntilSignal(() => promise, process);

    process.emit('SIGTERM');
    await Promise.resolve();
    process.emit('SIGTERM');
    resolve();
    await done;

    expect(process.exits).toEqual([1]);
  });

  it('passes on a failure of stopping', async () => {
    const process = new FakeProcess();
    const done = runUntilSignal(() => Promise.reject(new Error('stuck')), process);

    process.emit('SIGTERM');

    await expect(done).rejects.toThrow('stuck');
  });
});
