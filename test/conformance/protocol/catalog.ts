import { describe, expect, it } from 'vitest';

import { codes, header, json, type RegistryClient } from './client.ts';
import { EMPTY_JSON } from './content.ts';
import { pushBlob } from './pushing.ts';

interface Extension {
  readonly name: string;
  readonly url: string;
  readonly description?: string;
  readonly endpoints: readonly string[];
}

/** Behind every name that other tests use, so that what they push meanwhile does not show. */
const NAMES = ['zz/a', 'zz/a-b', 'zz/a/b', 'zz/b', 'zz/c'];

async function pushNames(client: RegistryClient): Promise<void> {
  for (const name of NAMES) await pushBlob(client, name, EMPTY_JSON);
}

async function repositories(client: RegistryClient, query: string): Promise<string[]> {
  const answer = await client.get(`/v2/_catalog${query}`);
  expect(answer.status).toBe(200);
  return (json(answer) as { repositories: string[] }).repositories;
}

export function describeCatalog(client: RegistryClient): void {
  describe('Extensions: _catalog', () => {
    it('lists repositories in the order of their bytes', async () => {
      await pushNames(client);

      const listed = await repositories(client, '?last=zz');

      expect(listed).toEqual(NAMES);
      expect(listed).toEqual(listed.toSorted());
    });

    it('gives n repositories, and the rest behind Link', async () => {
      await pushNames(client);
      const pages: string[][] = [];
      for (let next: string | undefined = '/v2/_catalog?n=2&last=zz'; next !== undefined;) {
        const answer = await client.get(next);
        pages.push((json(answer) as { repositories: string[] }).repositories);
        next = /^<([^>]+)>; rel="next"$/.exec(header(answer, 'link'))?.[1];
      }

      expect(pages).toEqual([NAMES.slice(0, 2), NAMES.slice(2, 4), NAMES.slice(4)]);
    });

    it('gives an empty list without Link to n=0', async () => {
      await pushNames(client);

      const answer = await client.get('/v2/_catalog?n=0');

      expect(json(answer)).toEqual({ repositories: [] });
      expect(header(answer, 'link')).toBe('');
    });

    it.each(['-1', 'abc'])('refuses n=%s', async (n) => {
      const answer = await client.get(`/v2/_catalog?n=${n}`);

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['PAGINATION_NUMBER_INVALID']);
    });
  });

  describe('Extensions: _oci/ext/discover', () => {
    it('answers 200 with the name, the description and the endpoints of each extension', async () => {
      const answer = await client.get('/v2/_oci/ext/discover');

      expect(answer.status).toBe(200);
      expect(header(answer, 'content-type')).toBe('application/json');
      const { extensions } = json(answer) as { extensions: Extension[] };
      expect(extensions.map(({ name }) => name)).toEqual(expect.arrayContaining(['_oci', '_catalog']));
      for (const extension of extensions) {
        expect(extension.name).toMatch(/^_[a-z-]+$/);
        expect(() => new URL(extension.url)).not.toThrow();
        expect(extension.endpoints.length).toBeGreaterThan(0);
      }
    });

    it('has behind it every endpoint of the registry that it names', async () => {
      const { extensions } = json(await client.get('/v2/_oci/ext/discover')) as { extensions: Extension[] };
      const endpoints = extensions
        .filter(({ name }) => name === '_oci' || name === '_catalog')
        .flatMap((extension) => extension.endpoints);

      expect(endpoints.length).toBeGreaterThan(1);
      for (const endpoint of endpoints) expect((await client.get(`/v2/${endpoint}`)).status).toBe(200);
    });

    it('tells of a repository what it offers', async () => {
      await pushNames(client);

      const answer = await client.get('/v2/zz/a/_oci/ext/discover');

      expect(answer.status).toBe(200);
      const { extensions } = json(answer) as { extensions: Extension[] };
      expect(extensions.map(({ name }) => name)).toContain('_registry-operator');
    });

    it('answers 404 where an extension is not known', async () => {
      expect((await client.get('/v2/_unknown/ext/discover')).status).toBeGreaterThanOrEqual(400);
      expect((await client.get(`/v2/${client.newRepository()}/_oci/tag-history/latest`)).status).toBe(404);
    });
  });
}
