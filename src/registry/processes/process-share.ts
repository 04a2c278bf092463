import type { LimitsConfig } from '../../api/registry-config.ts';

/** Which of the processes that serve on one port. */
export interface ProcessShare {
  /** From 1 to `count`; the first one also does the work in the background. */
  readonly number: number;
  readonly count: number;
}

/**
 * The part of a budget that one process gets: all parts together are the budget, the first processes get what is left
 * over. Only where a part would be less than `min`, it is `min`.
 */
export function shareOf(total: number, min: number, { number, count }: ProcessShare): number {
  const part = Math.floor(total / count) + (number <= total % count ? 1 : 0);
  return Math.max(min, part);
}

/**
 * The limits of one process: how many may run, wait, or be open at once, and how fast a client may go. Sizes and times
 * are the same for all.
 */
export function shareOfLimits(limits: LimitsConfig, share: ProcessShare): LimitsConfig {
  const part = (total: number, min: number): number => shareOf(total, min, share);
  const { read, write, perClient } = limits;
  const { maxRunning, requestsPerSecond, burst, maxOpenUploads } = perClient;
  return {
    ...limits,
    read: { ...read, maxRunning: part(read.maxRunning, 1), maxQueued: part(read.maxQueued, 0) },
    write: { ...write, maxRunning: part(write.maxRunning, 1), maxQueued: part(write.maxQueued, 0) },
    perClient: {
      burst: part(burst, 1),
      maxOpenUploads: part(maxOpenUploads, 1),
      ...(maxRunning === undefined ? {} : { maxRunning: part(maxRunning, 1) }),
      ...(requestsPerSecond === undefined ? {} : { requestsPerSecond: requestsPerSecond / share.count }),
    },
  };
}
