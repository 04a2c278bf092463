import { beforeAll, describe, expect, it } from 'vitest';

import { codes, header, json, type RegistryClient } from './client.ts';
import { EMPTY_JSON, image, uniqueImage } from './content.ts';
import { manifestPath, pushBlob, pushEmptyJson, pushManifest, tagsOf } from './pushing.ts';

/** In byte order: digits, capitals, underscore, small letters. */
const SORTED = ['0', '1.10', '1.9', 'A', 'Z', '_', 'a', 'b-1', 'b.1', 'z'];

async function tagged(client: RegistryClient, tags: readonly string[] = SORTED): Promise<string> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  for (const tag of tags.toReversed()) await pushManifest(client, repository, image(), tag);
  return repository;
}

export function describeTagLists(client: RegistryClient): void {
  /** A repository with all tags; what changes it uses one of its own. */
  let shared = '';

  beforeAll(async () => {
    shared = await tagged(client);
  });

  describe('Listing Tags (end-8a)', () => {
    it('answers 200 with the name and all tags, in the order of their bytes', async () => {
      const answer = await client.get(`/v2/${shared}/tags/list`);

      expect(answer.status).toBe(200);
      expect(header(answer, 'content-type')).toBe('application/json');
      expect(json(answer)).toEqual({ name: shared, tags: SORTED });
    });

    it('answers an empty list when a repository has no tags', async () => {
      const repository = client.newRepository();
      await pushBlob(client, repository, EMPTY_JSON);
      await pushManifest(client, repository, uniqueImage());

      expect(json(await client.get(`/v2/${repository}/tags/list`))).toEqual({ name: repository, tags: [] });
    });

    it('answers 404 when the registry does not know the repository', async () => {
      const answer = await client.get('/v2/no/such/repository/tags/list');

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['NAME_UNKNOWN']);
    });

    it('lists a tag once that has moved', async () => {
      const repository = await tagged(client, ['latest']);
      await pushManifest(client, repository, uniqueImage(), 'latest');

      expect(await tagsOf(client, repository)).toEqual(['latest']);
    });

    it('lists a tag no more as soon as it is deleted', async () => {
      const repository = await tagged(client, ['a', 'b']);

      await expect(client).toDelete(manifestPath(repository, 'a'));

      expect(await tagsOf(client, repository)).toEqual(['b']);
    });
  });

  describePages(client, () => shared);
}

function describePages(client: RegistryClient, repository: () => string): void {
  describe('Listing Tags: n and last (end-8b)', () => {
    it('gives n tags, and the rest behind Link', async () => {
      const pages: string[][] = [];
      for (let next: string | undefined = `/v2/${repository()}/tags/list?n=4`; next !== undefined;) {
        const answer = await client.get(next);
        pages.push((json(answer) as { tags: string[] }).tags);
        next = /^<([^>]+)>; rel="next"$/.exec(header(answer, 'link'))?.[1];
      }

      expect(pages).toEqual([SORTED.slice(0, 4), SORTED.slice(4, 8), SORTED.slice(8)]);
    });

    it('gives all and no Link when there are not more than n', async () => {
      for (const n of [10, 11, 1000, 5_000_000]) {
        const answer = await client.get(`/v2/${repository()}/tags/list?n=${n}`);
        expect((json(answer) as { tags: string[] }).tags).toEqual(SORTED);
        expect(header(answer, 'link')).toBe('');
      }
    });

    it('gives an empty list without Link to n=0', async () => {
      const answer = await client.get(`/v2/${repository()}/tags/list?n=0`);

      expect(answer.status).toBe(200);
      expect(json(answer)).toEqual({ name: repository(), tags: [] });
      expect(header(answer, 'link')).toBe('');
    });

    it.each([
      ['a tag', 'A', SORTED.slice(4)],
      ['something between two tags', '1.5', SORTED.slice(2)],
      ['something before all', '-', SORTED],
      ['the last tag', 'z', []],
    ])('begins after %s that last names', async (_, last, expected) => {
      expect(await tagsOf(client, repository(), `?last=${encodeURIComponent(last)}`)).toEqual(expected);
    });

    it('takes n and last together', async () => {
      expect(await tagsOf(client, repository(), '?n=2&last=A')).toEqual(['Z', '_']);
    });

    it.each(['-1', 'abc', '1.5', '1e3'])('refuses n=%s', async (n) => {
      const answer = await client.get(`/v2/${repository()}/tags/list?n=${n}`);

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['PAGINATION_NUMBER_INVALID']);
    });
  });
}
