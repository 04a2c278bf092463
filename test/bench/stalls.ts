import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Preloaded into our server. */
export const STALL_RECORDER = fileURLToPath(new URL('stall-recorder.mjs', import.meta.url));

/** How late the event loop was, in milliseconds; of several processes, the worst. */
export interface Stalls {
  readonly max: number;
  readonly p99: number;
}

const PATIENCE_MS = 30_000;

/**
 * Asks every process of a server for its stalls since it was last asked.
 *
 * @param folder where the recorders write
 * @throws Error when one does not answer
 */
export async function readStalls(folder: string): Promise<Stalls> {
  const files = readdirSync(folder).filter((name) => /^\d+\.json$/.test(name));
  let worst: Stalls = { max: 0, p99: 0 };
  for (const name of files) {
    const file = join(folder, name);
    rmSync(file);
    process.kill(Number.parseInt(name, 10), 'SIGUSR2');
    const { max, p99 } = await answer(file);
    worst = { max: Math.max(worst.max, max), p99: Math.max(worst.p99, p99) };
  }
  return worst;
}

async function answer(file: string): Promise<Stalls> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!existsSync(file)) {
    if (Date.now() > deadline) throw new Error(`the server did not write ${file}`);
    await sleep(2);
  }
  return JSON.parse(readFileSync(file, 'utf8')) as Stalls;
}
