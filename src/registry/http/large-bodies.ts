import { ByteBudget } from './byte-budget.ts';

/** Up to this size a body is not counted: the limits of running requests bound what all of them take. */
export const SMALL_BYTES = 64 * 1024;

/**
 * Memory for bodies that are held as a whole and are not small: manifests, and lists. Those of requests and those of
 * answers have a budget each, so that neither can starve the other.
 */
export interface LargeBodies {
  readonly received: ByteBudget;
  readonly sent: ByteBudget;
}

/** @param bytes of stream buffers that the process may have; a quarter of it for bodies of either direction */
export function createLargeBodies(bytes: number): LargeBodies {
  const quarter = Math.floor(bytes / 4);
  return { received: new ByteBudget(quarter), sent: new ByteBudget(quarter) };
}
