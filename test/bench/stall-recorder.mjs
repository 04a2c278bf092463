/**
 * Loaded into our server before it (`node --import`), so that the benchmark learns how long its event loop stood
 * still. Plain JavaScript: stripping types would cost the server memory. At SIGUSR2 it writes
 * `$BENCH_STALLS_FOLDER/<pid>.json`, in milliseconds, and begins anew.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const RESOLUTION_MILLISECONDS = 5;

/** Worker threads inherit the option, but have loops that nobody waits for. */
if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MILLISECONDS });
  delay.enable();
  const file = join(process.env.BENCH_STALLS_FOLDER, `${process.pid}.json`);
  /** The timer's own period is part of every sample. */
  const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MILLISECONDS);
  const write = () => {
    const seen = delay.count > 0;
    const stalls = { max: seen ? late(delay.max) : 0, p99: seen ? late(delay.percentile(99)) : 0 };
    writeFileSync(`${file}.new`, JSON.stringify(stalls));
    renameSync(`${file}.new`, file);
    delay.reset();
  };
  process.on('SIGUSR2', write);
  write();
}
