import { watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Editors write, rename and write again: this long must a file be quiet. */
const QUIET_MS = 100;
/** Safety net for file systems that tell nothing. */
const POLL_MS = 1000;

/**
 * Yields each time that a file has changed, however it was written, until the signal is aborted. Changes that come
 * while the consumer is busy are one change.
 */
export async function* changesOf(file: string, signal: AbortSignal): AsyncGenerator<void> {
  let last = await fingerprint(file);
  while (!signal.aborted) {
    await nextHint(file, signal);
    if (signal.aborted) return;
    await sleep(QUIET_MS, undefined, { signal }).catch(() => undefined);
    const now = await fingerprint(file);
    // A file that is gone for a moment is being replaced: it counts once it is back.
    if (now === undefined || now === last) continue;
    last = now;
    yield;
  }
}

async function nextHint(file: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watcher = watch(dirname(file), (_event, name) => {
    if (name === null || name === basename(file)) resolve();
  });
  watcher.on('error', () => undefined);
  const timer = setTimeout(resolve, POLL_MS);
  signal.addEventListener('abort', () => resolve(), { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    watcher.close();
  }
}

async function fingerprint(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino}:${found.mtimeMs}:${found.size}`;
}
