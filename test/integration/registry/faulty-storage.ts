import type { StorageDriver, WriteSession } from '../../../src/registry/storage/driver.ts';
import { StorageError } from '../../../src/registry/storage/errors.ts';

/**
 * What happens to a call of the storage, the n-th of a push: it fails before or after it had its effect, or the
 * process ends there, which is to say that no later call has any effect either.
 */
export type Fault = 'fails' | 'fails after its effect' | 'is the last' | 'is the last, without effect';
export const FAULTS: readonly Fault[] = [
  'fails',
  'fails after its effect',
  'is the last',
  'is the last, without effect',
];

export interface FaultyStorage {
  readonly storage: StorageDriver;
  /** Calls so far. */
  readonly calls: () => number;
  /** Closes the files of a process that did not really die. */
  readonly close: () => Promise<void>;
}

function unavailable(operation: string): StorageError {
  return new StorageError('UNAVAILABLE', { driver: 'test', operation, message: 'injected' });
}

/** These end what they are called on even if they fail. */
const ENDINGS = new Set(['suspend', 'abort']);

/** A driver whose n-th call (from 1), or call of a session of its, has a fault. */
export function withFault(inner: StorageDriver, fault: Fault, at: number): FaultyStorage {
  let calls = 0;
  const sessions: WriteSession[] = [];
  const run = async (operation: string, call_: () => Promise<unknown>): Promise<unknown> => {
    const effect = async (): Promise<unknown> => {
      const result = await call_();
      if (isSession(result)) sessions.push(result);
      return result;
    };
    calls += 1;
    if (calls > at && isCrash(fault)) throw unavailable(operation);
    if (calls !== at) return effect();
    const isWithout = fault === 'fails' ? !ENDINGS.has(operation) : fault === 'is the last, without effect';
    const result = isWithout ? undefined : await effect();
    // A driver that cannot open a session keeps nothing of it.
    if (isSession(result) && !isCrash(fault)) await result.suspend();
    throw unavailable(operation);
  };
  const guard = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, property) {
        const value: unknown = Reflect.get(object, property, object);
        if (typeof value !== 'function') return value;
        return async (...args: unknown[]) => {
          const result = await run(String(property), async () => Reflect.apply(value, object, args));
          return isSession(result) ? guard(result) : result;
        };
      },
    });
  const close = async (): Promise<void> => {
    await Promise.allSettled(sessions.map(async (session) => session.abort()));
  };
  return { storage: guard(inner), calls: () => calls, close };
}

export function isCrash(fault: Fault): boolean {
  return fault.startsWith('is the last');
}

function isSession(value: unknown): value is WriteSession {
  return typeof value === 'object' && value !== null && 'append' in value && 'commit' in value;
}
