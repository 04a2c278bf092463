import type { EventEmitter } from 'node:events';
import { setFlagsFromString } from 'node:v8';

/** So many requests are more than a look whether the server is there. */
const BUSY = 500;

/**
 * Keeps the memory for young objects as small as it begins, at one megabyte. The engine doubles it whenever something
 * survives, up to 16 twice over, and hardly ever gives it back: the start and the comparison of the indexes would leave
 * ten megabytes and more of it to a server that nobody uses.
 */
export function keepYoungMemorySmall(): void {
  setGrowth(1);
}

/**
 * Lets it grow when the server is used in earnest, where it pays.
 *
 * @param server emits `request`
 */
export function growYoungMemoryWhenBusy(server: Pick<EventEmitter, 'on' | 'off'>): void {
  let requests = 0;
  const count = (): void => {
    if (++requests < BUSY) return;
    server.off('request', count);
    setGrowth(2);
  };
  server.on('request', count);
}

/** The engine reads this flag anew whenever it has collected young objects. */
function setGrowth(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}
