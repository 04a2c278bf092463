import { createHash, randomBytes } from 'node:crypto';

import { afterEach, beforeEach, expect } from 'vitest';

import type { ByteReader, StorageDriver, StorageKey } from '../../../src/registry/storage/driver.ts';

/** One driver on an empty back end of its own. */
export interface Backend {
  readonly driver: StorageDriver;
  /** A further driver on the same content, as another process would have it. */
  readonly another: () => Promise<StorageDriver>;
  /** Everything that is left in the back end, seen past the driver: files, objects, unfinished uploads. */
  readonly residue: () => Promise<string[]>;
  readonly destroy: () => Promise<void>;
}

export interface DriverTraits {
  /** A second writer on a session is refused at once; else one of the two loses at the latest at commit. */
  readonly exclusiveSessions: boolean;
  create(): Promise<Backend>;
}

/** The back end of the running test; every test begins with an empty one and has to leave an empty one. */
export function useBackend(traits: DriverTraits): () => Backend {
  let backend: Backend | undefined;

  beforeEach(async () => {
    backend = await traits.create();
  });

  afterEach(async () => {
    if (backend === undefined) return;
    const { driver } = backend;
    try {
      await driver.delete((await listAll(driver, '')).map((name) => key(name)));
      expect(await backend.residue()).toEqual([]);
    } finally {
      await driver.close();
      await backend.destroy();
      backend = undefined;
    }
  });

  return () => {
    if (backend === undefined) throw new Error('only inside of a test');
    return backend;
  };
}

export function key(path: string): StorageKey {
  return path as StorageKey;
}

export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString('utf8');
}

/** Bytes without a pattern that is mistaken for another part of themselves. */
export function noise(bytes: number): Buffer {
  return randomBytes(bytes);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Reads to the end, copying every view before the next read as a careful caller does, and closes. */
export async function drain(reader: ByteReader | undefined): Promise<Buffer> {
  if (reader === undefined) throw new Error('there is no such object');
  const copies: Buffer[] = [];
  try {
    for (let view = await reader.read(); view !== undefined; view = await reader.read()) {
      copies.push(Buffer.from(view));
    }
  } finally {
    await reader.close();
  }
  return Buffer.concat(copies);
}

/** Every name below a prefix, page after page. */
export async function listAll(driver: StorageDriver, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for (let more = true; more;) {
    const after = names.at(-1);
    const page = await driver.list(prefix, after === undefined ? {} : { after });
    names.push(...page.entries.map((entry) => entry.name));
    more = page.more;
  }
  return names;
}

/** Writes one object through a session. */
export async function write(driver: StorageDriver, target: string, bytes: Uint8Array): Promise<void> {
  const session = await driver.startWrite(uploadKey());
  await session.append(bytes);
  await session.commit(key(target));
}

let uploads = 0;

/** A fresh key for unfinished bytes, in the place where the registry has them. */
export function uploadKey(): StorageKey {
  uploads += 1;
  const id = `00000000-0000-4000-8000-${String(uploads).padStart(12, '0')}`;
  return key(`docker/registry/v2/repositories/library/app/_uploads/${id}/data`);
}
