import { describe, expect, it } from 'vitest';

import { type Answer, codes, header, type RegistryClient } from './client.ts';
import {
  type Algorithm,
  ALGORITHMS,
  type Document,
  image,
  missingDigest,
  noise,
  uniqueImage,
} from './content.ts';
import { ACCEPT, manifestPath, pushEmptyJson, pushManifest, putManifest, tagsIn, tagsOf } from './pushing.ts';

export function describeTagParameters(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Pushing Manifests: tags as query parameters (end-7b), %s', (algorithm) => {
    it('sets every tag and names each in OCI-Tag', async () => {
      const { repository, manifest } = await prepared(client, algorithm);
      const tags = ['latest', '1', '1.2', '1.2.3'];

      const answer = await putWithTags(client, repository, manifest, tags);

      await expect(client).toHaveCreatedManifest(answer, manifest);
      expect(tagsIn(answer)).toEqual(tags.toSorted());
      for (const tag of tags) {
        expect(await client.get(manifestPath(repository, tag), ACCEPT)).toBeManifest(manifest);
        expect(await client.head(manifestPath(repository, tag), ACCEPT)).toBeManifest(manifest, 'HEAD');
      }
      expect(await tagsOf(client, repository)).toEqual(tags.toSorted());
    });

    it('takes more than ten tags at once', async () => {
      const { repository, manifest } = await prepared(client, algorithm);
      const tags = Array.from({ length: 20 }, (_, number) => `tag-${String(number).padStart(2, '0')}`);

      const answer = await putWithTags(client, repository, manifest, tags);

      expect(answer.status).toBe(201);
      expect(tagsIn(answer)).toEqual(tags);
      expect(await tagsOf(client, repository)).toEqual(tags);
    });

    it('moves tags that are there already', async () => {
      const { repository, manifest } = await prepared(client, algorithm);
      await pushManifest(client, repository, manifest);
      await putWithTags(client, repository, manifest, ['latest']);
      const later = image({ algorithm, members: { annotations: { later: noise(8).toString('hex') } } });

      await putWithTags(client, repository, later, ['latest', 'new']);

      expect(await client.get(manifestPath(repository, 'latest'), ACCEPT)).toBeManifest(later);
      expect(await client.get(manifestPath(repository, manifest.descriptor.digest), ACCEPT)).toBeManifest(
        manifest,
      );
    });

    it('deletes each tag by itself, and all with the manifest', async () => {
      const { repository, manifest } = await prepared(client, algorithm);
      await putWithTags(client, repository, manifest, ['a', 'b', 'c']);

      expect((await client.send('DELETE', manifestPath(repository, 'a'))).status).toBe(202);
      expect(await tagsOf(client, repository)).toEqual(['b', 'c']);
      const path = manifestPath(repository, manifest.descriptor.digest);
      expect((await client.send('DELETE', path)).status).toBe(202);
      expect(await tagsOf(client, repository)).toEqual([]);
    });
  });

  describe('Pushing Manifests: tags as query parameters (end-7b)', () => {
    it('takes the same tag twice as one', async () => {
      const { repository, manifest } = await prepared(client, 'sha256');

      const answer = await putWithTags(client, repository, manifest, ['same', 'same']);

      expect(answer.status).toBe(201);
      expect(await tagsOf(client, repository)).toEqual(['same']);
    });

    it.each(['.bad', 'a b', '', 'x'.repeat(129)])(
      'refuses the malformed tag "%s" and sets none',
      async (tag) => {
        const { repository, manifest } = await prepared(client, 'sha256');

        const answer = await putWithTags(client, repository, manifest, ['good', tag]);

        expect(answer.status).toBe(400);
        expect(codes(answer)).toEqual(['TAG_INVALID']);
        expect(await tagsOf(client, repository)).toEqual([]);
      },
    );

    it('refuses bytes of another digest and sets no tag', async () => {
      const { repository, manifest } = await prepared(client, 'sha256');
      const wrong = { ...manifest, descriptor: { ...manifest.descriptor, digest: missingDigest() } };

      const answer = await putWithTags(client, repository, wrong, ['tag']);

      expect(answer.status).toBe(400);
      expect(await tagsOf(client, repository)).toEqual([]);
    });

    it('answers 414 to more tags than it takes', async () => {
      const { repository, manifest } = await prepared(client, 'sha256');
      const tags = Array.from({ length: 200 }, (_, number) => `t${number}`);

      const answer = await putWithTags(client, repository, manifest, tags);

      expect(answer.status).toBe(414);
      expect(await tagsOf(client, repository)).toEqual([]);
    });

    it('sends no OCI-Tag where none was asked for', async () => {
      const { repository, manifest } = await prepared(client, 'sha256');

      expect(header(await pushManifest(client, repository, manifest), 'oci-tag')).toBe('');
    });
  });
}

async function prepared(
  client: RegistryClient,
  algorithm: Algorithm,
): Promise<{ repository: string; manifest: Document }> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository, algorithm);
  return { repository, manifest: algorithm === 'sha256' ? uniqueImage() : image({ algorithm }) };
}

function putWithTags(
  client: RegistryClient,
  repository: string,
  manifest: Document,
  tags: readonly string[],
): Promise<Answer> {
  const query = new URLSearchParams(tags.map((tag) => ['tag', tag]));
  return putManifest(client, repository, `${manifest.descriptor.digest}?${query.toString()}`, manifest);
}
