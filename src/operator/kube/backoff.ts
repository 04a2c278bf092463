export interface BackoffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** The longest wait before attempt `failures + 1`: doubles with every failure up to the maximum. */
export function exponentialMs({ firstMs, maxMs }: BackoffOptions, failures: number): number {
  // 2 ** 1024 is Infinity; min() takes care of it.
  return Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
}
