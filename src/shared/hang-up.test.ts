import { EventEmitter } from 'node:events';

import { describe, expect, it } from 'vitest';

import { onHangUp } from './hang-up.ts';

describe('onHangUp', () => {
  it('does what it is told at every signal', () => {
    const process = new EventEmitter();
    let reloads = 0;
    onHangUp(process)(() => {
      reloads += 1;
    });
    expect(reloads).toBe(0);

    process.emit('SIGHUP');
    process.emit('SIGHUP');

    expect(reloads).toBe(2);
  });

  it('keeps signals that come before anything can be done, and then acts once', () => {
    const process = new EventEmitter();
    let reloads = 0;
    const whenHungUp = onHangUp(process);
    process.emit('SIGHUP');
    process.emit('SIGHUP');

    whenHungUp(() => {
      reloads += 1;
    });

    expect(reloads).toBe(1);
  });
});
