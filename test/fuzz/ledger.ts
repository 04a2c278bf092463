import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { RawAnswer } from '../integration/registry/raw-http.ts';

/** Repositories below it are only pushed to: what was acknowledged there must be there at the end. */
export const KEPT = 'keep';

/** More is not remembered, so that a long run does not fill the memory of the client. */
const MAX_ENTRIES = 50_000;

/** What the server has said that it has. */
export class Ledger {
  readonly #paths = new Set<string>();

  get size(): number {
    return this.#paths.size;
  }

  /** Notes content that was acknowledged with 201, whatever the request was meant to be. */
  note(answer: RawAnswer): void {
    const location = answer.headers.get('location') ?? '';
    const isKept = /^\/v2\/keep\/[^?]+\/(?:blobs|manifests)\/sha\d+:[0-9a-f]+$/.test(location);
    if (answer.status === 201 && isKept && this.#paths.size < MAX_ENTRIES) this.#paths.add(location);
  }

  /** @returns what is wrong */
  async verify(get: (path: string) => Promise<RawAnswer | undefined>): Promise<string[]> {
    const problems: string[] = [];
    for (const path of this.#paths) {
      const answer = await get(path);
      const digest = path.slice(path.lastIndexOf('/') + 1);
      if (answer?.status !== 200)
        problems.push(`${path} was acknowledged and is ${answer?.status ?? 'gone'}`);
      else if (digestOf(digest, answer.body) !== digest) problems.push(`${path} has other bytes`);
    }
    return problems;
  }
}

function digestOf(like: string, bytes: Uint8Array): string {
  const algorithm = like.slice(0, like.indexOf(':'));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** Reads all content below a data folder. @returns files whose bytes are not what their name says */
export async function damagedContent(dataFolder: string): Promise<string[]> {
  const root = join(dataFolder, 'docker/registry/v2/blobs');
  const names = await readdir(root, { recursive: true }).catch(() => []);
  const damaged: string[] = [];
  for (const name of names) {
    const groups = /^(?<algorithm>sha\d+)\/..\/(?<hex>[0-9a-f]+)\/data$/.exec(name)?.groups;
    if (!groups) continue;
    const digest = `${groups['algorithm']}:${groups['hex']}`;
    if (digestOf(digest, await readFile(join(root, name))) !== digest) damaged.push(name);
  }
  return damaged;
}
