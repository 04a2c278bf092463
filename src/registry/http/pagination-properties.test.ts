import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  dictionary,
  integer,
  oneof,
  property,
  string,
  stringMatching,
  uniqueArray,
  nat,
} from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DistributionError } from '../distribution/errors.ts';
import { OCI_MANIFEST } from '../distribution/media-types.ts';
import { parseReference, parseRepositoryName } from '../distribution/reference.ts';
import {
  call,
  createTestRegistry,
  digestOf,
  imageManifest,
  pushBlob,
  type TestRegistry,
} from '../distribution/testing.ts';
import { nextLink, parsePage } from './pagination.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

const TAG = stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,6}$/);
const NAME = stringMatching(/^[a-z0-9]{1,3}(?:[./-][a-z0-9]{1,3}){0,2}$/);

/** The query of the page that a `Link` header names. */
function follow(link: string): URLSearchParams {
  const target = /^<(?<target>[^>]*)>; rel="next"$/.exec(link)?.groups?.['target'] ?? '';
  return new URL(target, 'http://registry.example.com').searchParams;
}

/** What a client gets that follows `Link` from page to page. */
async function walk(
  n: number,
  list: (query: URLSearchParams) => Promise<{ entries: readonly string[]; more: boolean }>,
): Promise<string[]> {
  const all: string[] = [];
  let query = new URLSearchParams({ n: String(n) });
  for (;;) {
    const { entries, more } = await list(query);
    expect(entries.length).toBeLessThanOrEqual(n);
    all.push(...entries);
    const last = entries.at(-1);
    if (!more || last === undefined) return all;
    query = follow(nextLink('/v2/list', query, { n, last }));
  }
}

async function pushTags(registry: TestRegistry, name: string, tags: readonly string[]): Promise<void> {
  const repository = parseRepositoryName(name);
  const config = await pushBlob(registry, '{}', repository);
  const pushed = {
    contentType: OCI_MANIFEST,
    bytes: imageManifest({ ...config, digest: digestOf('{}') }, []),
  };
  for (const tag of tags) await registry.manifests.put(repository, parseReference(tag), pushed, call());
}

function inByteOrder(texts: readonly string[]): string[] {
  return texts.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

describe('walking a list from page to page', () => {
  it('gives every tag once and in byte order, whatever the size of the pages', async () => {
    await assert(
      asyncProperty(uniqueArray(TAG, { maxLength: 12 }), integer({ min: 1, max: 6 }), async (tags, n) => {
        const registry = createTestRegistry();
        await pushTags(registry, 'a', tags);
        const walked = await walk(n, async (query) => {
          const { tags: entries, more } = await registry.tags.list(
            parseRepositoryName('a'),
            parsePage(query),
            call(),
          );
          return { entries, more };
        });

        expect(walked).toEqual(inByteOrder(tags));
      }),
      { numRuns: 40 },
    );
  }, 30_000);

  it('gives every repository once and in byte order, whatever the size of the pages', async () => {
    await assert(
      asyncProperty(uniqueArray(NAME, { maxLength: 10 }), integer({ min: 1, max: 6 }), async (names, n) => {
        const registry = createTestRegistry();
        for (const name of names) await pushTags(registry, name, ['v1']);
        const walked = await walk(n, async (query) => {
          const { repositories: entries, more } = await registry.catalog.list(parsePage(query), call());
          return { entries, more };
        });

        expect(walked).toEqual(inByteOrder(names));
      }),
      { numRuns: 40 },
    );
  }, 30_000);
});

/** The parameters that are not about pages. */
function otherThan(query: URLSearchParams): string[][] {
  return [...query].filter(([name]) => name !== 'n' && name !== 'last');
}

function isTaken(query: URLSearchParams): boolean {
  try {
    parsePage(query);
    return true;
  } catch (error) {
    if (error instanceof DistributionError && error.code === 'PAGINATION_NUMBER_INVALID') return false;
    throw error;
  }
}

describe('a Link to the next page', () => {
  it('says the same again when it is followed, with those of the other parameters that lists know', () => {
    const names = oneof(constantFrom('artifactType', 'ns'), string({ unit: CHARACTER }));
    const parameters = dictionary(names, string({ unit: CHARACTER }), { maxKeys: 5 });
    assert(
      property(parameters, integer({ min: 1, max: 1000 }), string({ minLength: 1 }), (others, n, last) => {
        const known = Object.entries(others).filter(([name]) => name === 'artifactType' || name === 'ns');
        const link = nextLink('/v2/_catalog', new URLSearchParams(others), { n, last });
        const query = follow(link);

        expect(parsePage(query)).toEqual({ n, last: last.toWellFormed() });
        expect(otherThan(query)).toEqual(otherThan(new URLSearchParams(known)));
        expect(link).toMatch(/^[\x20-\x7e]+$/);
      }),
    );
  });

  it('is refused or bounded, whatever the number is', () => {
    assert(
      property(array(string(), { maxLength: 2 }), (texts) => {
        const query = new URLSearchParams(texts.map((text) => ['n', text]));
        const [first] = texts;
        const right = first === undefined || /^[0-9]{1,40}$/.test(first);

        expect(isTaken(query)).toBe(right);
        expect(right ? (parsePage(query).n ?? 0) : 0).toBeLessThanOrEqual(1000);
      }),
    );
  });
});
