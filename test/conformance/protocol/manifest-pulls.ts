import { describe, expect, it } from 'vitest';

import { codes, header, type RegistryClient } from './client.ts';
import {
  ALGORITHMS,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  document,
  type Document,
  EMPTY_JSON,
  descriptorOf,
  index,
  missingDigest,
  OCI_EMPTY,
  OCI_INDEX,
  OCI_MANIFEST,
  uniqueImage,
} from './content.ts';
import { ACCEPT, manifestPath, pushEmptyJson, pushManifest } from './pushing.ts';

/** One manifest of each of the four types, all without content of their own. */
function manifests(): Document[] {
  const config = descriptorOf(EMPTY_JSON, OCI_EMPTY);
  const first = uniqueImage();
  return [
    first,
    index([first.descriptor]),
    document({ schemaVersion: 2, mediaType: DOCKER_MANIFEST, config, layers: [] }),
    document({ schemaVersion: 2, mediaType: DOCKER_LIST, manifests: [] }),
  ];
}

async function pushAll(client: RegistryClient): Promise<{ repository: string; pushed: Document[] }> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  const pushed = manifests();
  for (const [number, manifest] of pushed.entries()) {
    await pushManifest(client, repository, manifest, `tag-${number}`);
  }
  return { repository, pushed };
}

export function describeManifestPulls(client: RegistryClient): void {
  describe('Pulling manifests (end-3)', () => {
    it('answers 200 with the very manifest, by digest and by tag', async () => {
      const { repository, pushed } = await pushAll(client);

      for (const [number, manifest] of pushed.entries()) {
        expect(await client.get(manifestPath(repository, manifest.descriptor.digest), ACCEPT)).toBeManifest(
          manifest,
        );
        expect(await client.get(manifestPath(repository, `tag-${number}`), ACCEPT)).toBeManifest(manifest);
      }
    });

    it('names the type that was pushed in Content-Type, without parameters', async () => {
      const { repository } = await pushAll(client);

      const answers = await Promise.all(
        ['tag-0', 'tag-1', 'tag-2', 'tag-3'].map((tag) => client.get(manifestPath(repository, tag), ACCEPT)),
      );

      expect(answers.map((answer) => header(answer, 'content-type'))).toEqual([
        OCI_MANIFEST,
        OCI_INDEX,
        DOCKER_MANIFEST,
        DOCKER_LIST,
      ]);
    });

    it.each([
      ['no Accept', {}],
      ['Accept: */*', { accept: '*/*' }],
      ['an Accept of other types', { accept: 'text/html, application/xml;q=0.9' }],
      ['an Accept of the type with quality', { accept: `${OCI_MANIFEST};q=0.5, */*;q=0.1` }],
    ])('answers with what is stored to %s', async (_, headers) => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      const manifest = uniqueImage();
      await pushManifest(client, repository, manifest, 'latest');

      expect(await client.get(manifestPath(repository, 'latest'), headers)).toBeManifest(manifest);
    });

    it.each(ALGORITHMS)(
      'answers 404 when the repository has no manifest of this %s digest',
      async (algorithm) => {
        const repository = client.newRepository();
        await pushEmptyJson(client, repository);

        const answer = await client.get(manifestPath(repository, missingDigest(algorithm)), ACCEPT);

        expect(answer.status).toBe(404);
        expect(codes(answer)).toEqual(['MANIFEST_UNKNOWN']);
      },
    );

    it('answers 404 when the repository has no such tag', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);

      const answer = await client.get(manifestPath(repository, 'missing'), ACCEPT);

      expect(answer.status).toBe(404);
      expect(codes(answer)).toEqual(['MANIFEST_UNKNOWN']);
    });

    it('answers 404 when the registry has no such repository', async () => {
      expect((await client.get(manifestPath('no/such', 'latest'), ACCEPT)).status).toBe(404);
    });

    it('does not give a manifest that only another repository has', async () => {
      const [owner, stranger] = [client.newRepository(), client.newRepository()];
      const manifest = uniqueImage();
      for (const repository of [owner, stranger]) await pushEmptyJson(client, repository);
      await pushManifest(client, owner, manifest);

      expect((await client.get(manifestPath(stranger, manifest.descriptor.digest), ACCEPT)).status).toBe(404);
    });

    it.each(['sha256:baddigeststring', 'sha256:', `sha512:${'0'.repeat(64)}`, `md5:${'0'.repeat(32)}`])(
      'answers 400 or 404 to the malformed or unknown digest %s',
      async (digest) => {
        expect([400, 404]).toContain((await client.get(manifestPath('suite/any', digest), ACCEPT)).status);
      },
    );
  });

  describeManifestHeads(client);
}

function describeManifestHeads(client: RegistryClient): void {
  describe('Checking if content exists in the registry: manifests (end-3)', () => {
    it('answers 200 with digest and length and without a body, by digest and by tag', async () => {
      const { repository, pushed } = await pushAll(client);

      for (const [number, manifest] of pushed.entries()) {
        const { digest } = manifest.descriptor;
        expect(await client.head(manifestPath(repository, digest), ACCEPT)).toBeManifest(manifest, 'HEAD');
        expect(await client.head(manifestPath(repository, `tag-${number}`), ACCEPT)).toBeManifest(
          manifest,
          'HEAD',
        );
      }
    });

    it('answers 404 to a manifest that the repository does not have', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);

      for (const reference of ['missing', missingDigest(), missingDigest('sha512')]) {
        expect((await client.head(manifestPath(repository, reference), ACCEPT)).status).toBe(404);
      }
    });
  });

  describe('RFC 9110 §13: conditional requests for manifests', () => {
    it.each(['GET', 'HEAD'])('answers %s with 304 to a client that has the manifest', async (method) => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      const manifest = uniqueImage();
      await pushManifest(client, repository, manifest, 'latest');
      const first = await client.head(manifestPath(repository, 'latest'));

      const again = await client.send(method, manifestPath(repository, 'latest'), {
        headers: { 'if-none-match': header(first, 'etag') },
      });

      expect(header(first, 'etag')).toBe(`"${manifest.descriptor.digest}"`);
      expect(again.status).toBe(304);
      expect(again.body).toHaveLength(0);
    });

    it('answers with the manifest when the tag has moved', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      await pushManifest(client, repository, uniqueImage(), 'latest');
      const before = header(await client.head(manifestPath(repository, 'latest')), 'etag');
      const manifest = uniqueImage();
      await pushManifest(client, repository, manifest, 'latest');

      const answer = await client.get(manifestPath(repository, 'latest'), { 'if-none-match': before });

      expect(answer).toBeManifest(manifest);
    });
  });
}
