import type { EventEmitter } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So many requests are more than a look whether the server is there. */
const BUSY = 500;
/** Time between looks whether a server that was busy has come to rest. */
const LOOK_MS = 10_000;
/** Looks in a row that find nothing going on; by then buffers and threads that nobody uses are given up. */
const QUIET_LOOKS = 3;
/** A process that takes less than this share of a processor is at rest. */
const QUIET_SHARE = 0.02;

/**
 * Keeps the memory for young objects as small as it begins, at one megabyte. The engine doubles it whenever something
 * survives, up to 16 twice over, and hardly ever gives it back: the start and the comparison of the indexes would leave
 * ten megabytes and more of it to a server that nobody uses.
 */
export function keepYoungMemorySmall(): void {
  setGrowth(1);
}

/** What tells whether the process is at rest, and what is done then. */
export interface RestOptions {
  /** Processor time of the process, in microseconds. */
  readonly cpuMicros?: () => number;
  readonly collect?: () => Promise<void>;
}

/**
 * Lets it grow when the server is used in earnest, where it pays. Makes it small again, and collects all garbage, when
 * half a minute went by with nothing to do: the engine collects when memory is asked for, so that a server at rest
 * would keep the hundred megabytes of its last load.
 *
 * @param server emits `request`
 */
export function growYoungMemoryWhenBusy(
  server: Pick<EventEmitter, 'on' | 'off'>,
  { cpuMicros = ownCpuMicros, collect = collectAll }: RestOptions = {},
): void {
  let requests = 0;
  const count = (): void => {
    if (++requests < BUSY) return;
    server.off('request', count);
    setGrowth(2);
    whenAtRest(cpuMicros, () => {
      setGrowth(1);
      requests = 0;
      server.on('request', count);
      void collect();
    });
  };
  server.on('request', count);
}

/** Does not keep the process alive. */
function whenAtRest(cpuMicros: () => number, then: () => void): void {
  let quiet = 0;
  let before = cpuMicros();
  const timer = setInterval(() => {
    const now = cpuMicros();
    quiet = now - before < QUIET_SHARE * LOOK_MS * 1000 ? quiet + 1 : 0;
    before = now;
    if (quiet < QUIET_LOOKS) return;
    clearInterval(timer);
    then();
  }, LOOK_MS);
  timer.unref();
}

function ownCpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/**
 * Only the last resort of the engine also makes the memory for young objects small. The function for it is made for
 * this one use, in a context of its own, and out of reach for everybody else.
 */
async function collectAll(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect: typeof globalThis.gc = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  await collect?.({ type: 'major', execution: 'async', flavor: 'last-resort' });
}

/** The engine reads this flag anew whenever it has collected young objects. */
function setGrowth(factor: number): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}
