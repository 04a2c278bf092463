import type { StorageDriver, StorageKey } from '../../src/registry/storage/driver.ts';
import { digestOf } from './content.ts';

const ROOT = 'docker/registry/v2/';

/** Keys of content that were found to be whole; content never changes. */
export type Walked = Set<string>;

/**
 * Looks at everything that is stored: content is what its key says, and whatever makes something visible leads to
 * content.
 *
 * @returns what is wrong, one line each
 */
export async function walkStorage(storage: StorageDriver, walked: Walked): Promise<string[]> {
  const keys = await allKeys(storage);
  const known = new Set(keys);
  const problems: string[] = [];
  for (const key of keys) {
    const problem = await problemOf(storage, key, { known, walked });
    if (problem !== undefined) problems.push(`${key}: ${problem}`);
  }
  return problems;
}

async function problemOf(
  storage: StorageDriver,
  key: string,
  { known, walked }: { readonly known: ReadonlySet<string>; readonly walked: Walked },
): Promise<string | undefined> {
  const blob = /\/blobs\/sha256\/([0-9a-f]{2})\/(\1[0-9a-f]{62})\/data$/.exec(key);
  if (blob !== null) {
    if (walked.has(key)) return undefined;
    const digest = digestOf(await contentOf(storage, key));
    walked.add(key);
    return digest === `sha256:${blob[2]}` ? undefined : `has the digest ${digest}`;
  }
  if (key.includes('/_uploads/')) return undefined;
  if (!key.endsWith('/link')) return key.includes('/blobs/') ? 'is no place for content' : undefined;
  const text = (await contentOf(storage, key)).toString();
  if (!/^sha256:[0-9a-f]{64}$/.test(text)) return `is no link: ${JSON.stringify(text.slice(0, 100))}`;
  const hex = text.slice('sha256:'.length);
  const tag = /^(.*\/_manifests\/)tags\/[^/]+\/current\/link$/.exec(key);
  if (tag !== null && !known.has(`${tag[1]}revisions/sha256/${hex}/link`)) return `${text} is no manifest`;
  const isVisible = key.includes('/_manifests/revisions/');
  if (isVisible && !known.has(`${ROOT}blobs/sha256/${hex.slice(0, 2)}/${hex}/data`))
    return `${text} is missing`;
  return undefined;
}

async function contentOf(storage: StorageDriver, key: string): Promise<Buffer> {
  const bytes = await storage.get(key as StorageKey, 1 << 30);
  return Buffer.from(bytes ?? []);
}

async function allKeys(storage: StorageDriver): Promise<string[]> {
  const keys: string[] = [];
  for (let more = true; more;) {
    const after = keys.at(-1)?.slice(ROOT.length);
    const page = await storage.list(ROOT, after === undefined ? {} : { after });
    keys.push(...page.entries.map(({ name }) => ROOT + name));
    more = page.more;
  }
  return keys;
}
