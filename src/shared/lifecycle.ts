/** The parts of a process that {@link runUntilSignal} needs. */
export interface ProcessLike {
  on(event: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  off(event: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  exit(code: number): void;
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const;

/**
 * Waits for the first SIGTERM or SIGINT and then runs `stop`, which must drain and close everything. A second
 * signal does not wait for it: the process exits with code 1.
 *
 * @returns when `stop` has finished; rejects with its error
 */
export async function runUntilSignal(
  stop: (reason: string) => Promise<void>,
  process: ProcessLike,
): Promise<void> {
  const reason = await firstSignal(process);
  const giveUp = (): void => process.exit(1);
  for (const signal of SIGNALS) process.on(signal, giveUp);
  try {
    await stop(reason);
  } finally {
    for (const signal of SIGNALS) process.off(signal, giveUp);
  }
}

function firstSignal(process: ProcessLike): Promise<string> {
  return new Promise((resolve) => {
    const listeners = SIGNALS.map((signal) => ({
      signal,
      listener: (): void => {
        for (const entry of listeners) process.off(entry.signal, entry.listener);
        resolve(signal);
      },
    }));
    for (const { signal, listener } of listeners) process.on(signal, listener);
  });
}
