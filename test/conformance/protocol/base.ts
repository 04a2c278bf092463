import { describe, expect, it } from 'vitest';

import { codes, header, json, type RegistryClient } from './client.ts';
import { EMPTY_JSON, missingDigest, uniqueImage } from './content.ts';
import { manifestPath, openUpload, pushBlob, pushEmptyJson, pushManifest, uploads } from './pushing.ts';
import { FURTHER_HOST } from './variants.ts';

export function describeBase(client: RegistryClient): void {
  describe('Determining Support (end-1)', () => {
    it('answers 200 to GET /v2/', async () => {
      const answer = await client.get('/v2/');

      expect(answer.status).toBe(200);
      expect(json(answer)).toEqual({});
      expect(header(answer, 'content-type')).toBe('application/json');
    });

    it('answers HEAD as GET, without a body', async () => {
      const answer = await client.head('/v2/');

      expect(answer.status).toBe(200);
      expect(answer.body).toHaveLength(0);
    });
  });

  describe('Legacy Docker support HTTP headers', () => {
    it.each(['/v2/', '/v2/no/such/tags/list'])('says the version of the API with %s', async (path) => {
      expect(header(await client.get(path), 'docker-distribution-api-version')).toBe('registry/2.0');
    });
  });

  describeNames(client);
  describeNamespaces(client);
  describeWarnings(client);
}

function describeNames(client: RegistryClient): void {
  describe('Pulling manifests: <name>', () => {
    it.each([
      'a',
      '0',
      'a/b/c/d/e/f',
      'a.b_c-d',
      'a__b',
      'a---b',
      'blobs/uploads',
      'x/manifests/y',
      'tags/list',
      'referrers/blobs',
      `long/${'n'.repeat(200)}`,
    ])('may be %s', async (name) => {
      const digest = await pushBlob(client, name, EMPTY_JSON);

      await expect(client).toServeBlob(name, digest, EMPTY_JSON);
    });

    it.each(['A', 'a//b', '-a', 'a-', 'a..b', 'a___b', '_a', 'a/-b', 'a/B', 'ä', 'a b', 'n'.repeat(256)])(
      'is refused with NAME_INVALID when it is %s',
      async (name) => {
        const answer = await client.send('POST', uploads(encodeURIComponent(name).replaceAll('%2F', '/')));

        expect([400, 404]).toContain(answer.status);
        expect(codes(answer)).toEqual(['NAME_INVALID']);
      },
    );
  });

  describe('Pulling manifests: <tag-or-digest>', () => {
    it.each(['latest', '1', '_', 'V1.2-3_x', 't'.repeat(128)])('may be the tag %s', async (tag) => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      await pushManifest(client, repository, uniqueImage(), tag);

      expect((await client.head(manifestPath(repository, tag))).status).toBe(200);
    });

    it.each(['.a', '-a', 'a+b', 'a b', 't'.repeat(129)])('may not be %s', async (tag) => {
      const repository = client.newRepository();
      const answer = await client.get(manifestPath(repository, encodeURIComponent(tag)));

      expect([400, 404]).toContain(answer.status);
      expect(codes(answer)).toEqual(['TAG_INVALID']);
    });
  });
}

function describeNamespaces(client: RegistryClient): void {
  describe('Registry Proxying: ns', () => {
    it.each([
      ['the address of the request', () => new URL(client.connection.url).host],
      ['a further name of the registry', () => FURTHER_HOST],
    ])('takes %s for local content', async (_, host) => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      await pushManifest(client, repository, uniqueImage(), 'latest');
      const query = `?ns=${encodeURIComponent(host())}`;

      expect((await client.get(`${manifestPath(repository, 'latest')}${query}`)).status).toBe(200);
    });

    it('knows nothing of a host that it is no mirror of', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      await pushManifest(client, repository, uniqueImage(), 'latest');

      const answer = await client.get(`${manifestPath(repository, 'latest')}?ns=docker.io`);

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['NAME_UNKNOWN']);
    });
  });
}

function describeWarnings(client: RegistryClient): void {
  describe('Warnings', () => {
    it('comes with none where there is nothing to warn of', async () => {
      const repository = client.newRepository();
      const answers = [
        await client.get('/v2/'),
        await client.get(`/v2/${repository}/blobs/${missingDigest()}`),
        await client.get(await openUpload(client, repository)),
      ];

      expect(answers.map((answer) => header(answer, 'warning'))).toEqual(['', '', '']);
    });
  });
}
