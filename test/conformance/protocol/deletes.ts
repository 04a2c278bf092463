import { describe, expect, it } from 'vitest';

import { codes, type RegistryClient } from './client.ts';
import {
  ALGORITHMS,
  descriptorOf,
  image,
  index,
  missingDigest,
  noise,
  OCI_LAYER,
  uniqueImage,
} from './content.ts';
import { ACCEPT, blobPath, manifestPath, pushBlob, pushEmptyJson, pushManifest, tagsOf } from './pushing.ts';

export function describeDeletes(client: RegistryClient): void {
  describe('Deleting tags (end-9)', () => {
    it('answers 202, after which the tag is gone and the manifest is not', async () => {
      const repository = await repositoryFor(client);
      const manifest = uniqueImage();
      for (const tag of ['old', 'new']) await pushManifest(client, repository, manifest, tag);

      await expect(client).toDelete(manifestPath(repository, 'old'));

      expect((await client.get(manifestPath(repository, 'old'), ACCEPT)).status).toBe(404);
      expect(await client.get(manifestPath(repository, 'new'), ACCEPT)).toBeManifest(manifest);
      expect(await client.get(manifestPath(repository, manifest.descriptor.digest), ACCEPT)).toBeManifest(
        manifest,
      );
    });

    it('answers 404 when there is no such tag, also the second time', async () => {
      const repository = await repositoryFor(client);
      await pushManifest(client, repository, uniqueImage(), 'once');
      await expect(client).toDelete(manifestPath(repository, 'once'));

      const answer = await client.send('DELETE', manifestPath(repository, 'once'));

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['MANIFEST_UNKNOWN']);
    });

    it('lets the tag be pushed again', async () => {
      const repository = await repositoryFor(client);
      const manifest = uniqueImage();
      await pushManifest(client, repository, manifest, 'again');
      await expect(client).toDelete(manifestPath(repository, 'again'));

      await pushManifest(client, repository, manifest, 'again');

      expect(await client.get(manifestPath(repository, 'again'), ACCEPT)).toBeManifest(manifest);
    });
  });

  describeManifests(client);
  describeBlobs(client);
  describeRepositories(client);
}

async function repositoryFor(client: RegistryClient): Promise<string> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  return repository;
}

function describeManifests(client: RegistryClient): void {
  describe('Deleting manifests (end-9)', () => {
    it('answers 202, after which the manifest and every tag of it are gone', async () => {
      const repository = await repositoryFor(client);
      const [manifest, other] = [uniqueImage(), uniqueImage()];
      for (const tag of ['a', 'b']) await pushManifest(client, repository, manifest, tag);
      await pushManifest(client, repository, other, 'other');

      await expect(client).toDelete(manifestPath(repository, manifest.descriptor.digest));

      for (const tag of ['a', 'b'])
        expect((await client.head(manifestPath(repository, tag))).status).toBe(404);
      expect(await tagsOf(client, repository)).toEqual(['other']);
      expect(await client.get(manifestPath(repository, 'other'), ACCEPT)).toBeManifest(other);
    });

    it.each(ALGORITHMS)(
      'answers 404 when the repository has no manifest of this %s digest',
      async (algorithm) => {
        const repository = await repositoryFor(client);

        const answer = await client.send('DELETE', manifestPath(repository, missingDigest(algorithm)));

        expect(answer.status).toBe(404);
        expect(codes(answer)).toEqual(['MANIFEST_UNKNOWN']);
      },
    );

    it('answers 404 when there is no such repository', async () => {
      expect((await client.send('DELETE', manifestPath('no/such', missingDigest()))).status).toBe(404);
    });

    it('deletes an image that an index names, and an index before its images', async () => {
      const repository = await repositoryFor(client);
      const [first, second] = [uniqueImage(), uniqueImage()];
      const list = index([first.descriptor, second.descriptor]);
      for (const manifest of [first, second, list]) await pushManifest(client, repository, manifest);

      for (const { descriptor } of [first, list, second]) {
        await expect(client).toDelete(manifestPath(repository, descriptor.digest));
      }
    });

    it('lets the manifest be pushed again', async () => {
      const repository = await repositoryFor(client);
      const manifest = uniqueImage();
      await pushManifest(client, repository, manifest, 'latest');
      await expect(client).toDelete(manifestPath(repository, manifest.descriptor.digest));

      await pushManifest(client, repository, manifest, 'latest');

      expect(await client.get(manifestPath(repository, 'latest'), ACCEPT)).toBeManifest(manifest);
    });

    it('leaves the manifest to other repositories', async () => {
      const [one, two] = [await repositoryFor(client), await repositoryFor(client)];
      const manifest = uniqueImage();
      for (const repository of [one, two]) await pushManifest(client, repository, manifest, 'latest');

      await expect(client).toDelete(manifestPath(one, manifest.descriptor.digest));

      expect(await client.get(manifestPath(two, 'latest'), ACCEPT)).toBeManifest(manifest);
    });
  });
}

function describeBlobs(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Deleting blobs (end-10), %s', (algorithm) => {
    it('answers 202, after which the blob is gone', async () => {
      const repository = client.newRepository();
      const digest = await pushBlob(client, repository, noise(100), algorithm);

      await expect(client).toDelete(blobPath(repository, digest));

      await expect(client).toServeNoBlob(repository, digest);
    });

    it('answers 404 when the repository does not have the blob, also the second time', async () => {
      const repository = client.newRepository();
      const digest = await pushBlob(client, repository, noise(100), algorithm);
      await expect(client).toDelete(blobPath(repository, digest));

      const answer = await client.send('DELETE', blobPath(repository, digest));

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['BLOB_UNKNOWN']);
    });

    it('leaves the blob to other repositories', async () => {
      const [one, two] = [client.newRepository(), client.newRepository()];
      const bytes = noise(100);
      const digest = await pushBlob(client, one, bytes, algorithm);
      await pushBlob(client, two, bytes, algorithm);

      await expect(client).toDelete(blobPath(one, digest));

      await expect(client).toServeBlob(two, digest, bytes);
    });

    it('lets the blob be pushed again', async () => {
      const repository = client.newRepository();
      const bytes = noise(100);
      const digest = await pushBlob(client, repository, bytes, algorithm);
      await expect(client).toDelete(blobPath(repository, digest));

      await pushBlob(client, repository, bytes, algorithm);

      await expect(client).toServeBlob(repository, digest, bytes);
    });
  });
}

function describeRepositories(client: RegistryClient): void {
  describe('Deleting a whole repository (extension _registry-operator)', () => {
    it('answers 202, after which the repository, its manifests and its blobs are unknown', async () => {
      const repository = client.newRepository();
      const bytes = noise(100);
      await pushEmptyJson(client, repository);
      const digest = await pushBlob(client, repository, bytes);
      const manifest = image({ layers: [descriptorOf(bytes, OCI_LAYER)] });
      await pushManifest(client, repository, manifest, 'latest');

      const answer = await client.send('DELETE', `/v2/${repository}/_registry-operator/repository`);

      expect(answer.status).toBe(202);
      expect((await client.get(`/v2/${repository}/tags/list`)).status).toBe(404);
      expect((await client.head(manifestPath(repository, 'latest'))).status).toBe(404);
      expect((await client.head(manifestPath(repository, manifest.descriptor.digest))).status).toBe(404);
      await expect(client).toServeNoBlob(repository, digest);
    });

    it('leaves a repository whose name begins with the same', async () => {
      const repository = client.newRepository();
      const below = `${repository}/below`;
      for (const name of [repository, below]) {
        await pushEmptyJson(client, name);
        await pushManifest(client, name, image(), 'latest');
      }

      await client.send('DELETE', `/v2/${repository}/_registry-operator/repository`);

      expect((await client.head(manifestPath(below, 'latest'))).status).toBe(200);
    });

    it('answers 404 when there is no such repository', async () => {
      const answer = await client.send('DELETE', '/v2/no/such/_registry-operator/repository');

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['NAME_UNKNOWN']);
    });
  });
}
