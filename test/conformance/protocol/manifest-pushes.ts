import { describe, expect, it } from 'vitest';

import { codes, header, location, type RegistryClient } from './client.ts';
import {
  ALGORITHMS,
  descriptorOf,
  digestOf,
  type Document,
  EMPTY_JSON,
  image,
  index,
  missingDigest,
  noise,
  OCI_EMPTY,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
  uniqueImage,
} from './content.ts';
import {
  ACCEPT,
  manifestPath,
  pushBlob,
  pushEmptyJson,
  pushManifest,
  putManifest,
  tagsOf,
} from './pushing.ts';

export function describeManifestPushes(client: RegistryClient): void {
  describe('Pushing Manifests (end-7a)', () => {
    it('answers 201 with a Location that leads to the manifest, by tag and by digest', async () => {
      const repository = await repositoryFor(client);
      const manifest = uniqueImage();

      for (const reference of ['latest', manifest.descriptor.digest]) {
        await expect(client).toHaveCreatedManifest(
          await putManifest(client, repository, reference, manifest),
          manifest,
        );
      }
    });

    it.each(ALGORITHMS)('takes a %s digest and answers with it', async (algorithm) => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository, algorithm);
      const manifest = image({ algorithm });

      const answer = await putManifest(client, repository, manifest.descriptor.digest, manifest);

      await expect(client).toHaveCreatedManifest(answer, manifest);
      expect(location(answer).pathname).toBe(manifestPath(repository, manifest.descriptor.digest));
    });

    it('keeps the bytes exactly as they came', async () => {
      const repository = await repositoryFor(client);
      const { bytes } = uniqueImage({
        'unknown to the specification': [0, 'ä\u2028', null, { a: false }],
      });
      const pretty = Buffer.from(`\n${JSON.stringify(JSON.parse(bytes.toString()), null, 3)}  \r\n`);
      const manifest = { bytes: pretty, descriptor: descriptorOf(pretty, OCI_MANIFEST) };

      await pushManifest(client, repository, manifest, 'pretty');

      expect(await client.get(manifestPath(repository, 'pretty'), ACCEPT)).toBeManifest(manifest);
    });

    it('ignores parameters of Content-Type', async () => {
      const repository = await repositoryFor(client);
      const manifest = uniqueImage();

      const answer = await client.send('PUT', manifestPath(repository, 'latest'), {
        headers: { 'content-type': `${OCI_MANIFEST}; charset=utf-8` },
        body: manifest.bytes,
      });

      await expect(client).toHaveCreatedManifest(answer, manifest);
    });

    it('takes a manifest that does not name its own type', async () => {
      const repository = await repositoryFor(client);
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, config: descriptorOf(EMPTY_JSON, OCI_EMPTY), layers: [] }),
      );

      const manifest = { bytes, descriptor: descriptorOf(bytes, OCI_MANIFEST) };

      await expect(client).toHaveCreatedManifest(
        await putManifest(client, repository, 'latest', manifest),
        manifest,
      );
    });

    it('refuses a type that the manifest itself does not confirm', async () => {
      const repository = await repositoryFor(client);

      const answer = await client.send('PUT', manifestPath(repository, 'latest'), {
        headers: { 'content-type': OCI_INDEX },
        body: uniqueImage().bytes,
      });

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['MANIFEST_INVALID']);
    });

    it('moves a tag that is there already, and keeps the old manifest', async () => {
      const repository = await repositoryFor(client);
      const [first, second] = [uniqueImage(), uniqueImage()];
      await pushManifest(client, repository, first, 'latest');

      await pushManifest(client, repository, second, 'latest');

      expect(await client.get(manifestPath(repository, 'latest'), ACCEPT)).toBeManifest(second);
      expect(await client.get(manifestPath(repository, first.descriptor.digest), ACCEPT)).toBeManifest(first);
    });

    it('takes a manifest whose list of blobs is empty', async () => {
      const repository = await repositoryFor(client);
      const manifest = image({ layers: [] });

      await expect(client).toHaveCreatedManifest(
        await putManifest(client, repository, 'latest', manifest),
        manifest,
      );
    });
  });

  describeRefusals(client);
  describeSizes(client);
  describeSparse(client);
}

async function repositoryFor(client: RegistryClient): Promise<string> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  return repository;
}

function describeRefusals(client: RegistryClient): void {
  describe('Pushing Manifests: the digest', () => {
    it('refuses bytes of another digest: two spaces are a difference', async () => {
      const repository = await repositoryFor(client);
      const { bytes, descriptor } = uniqueImage();
      const changed = { bytes: Buffer.concat([bytes, Buffer.from('  ')]), descriptor };

      const answer = await putManifest(client, repository, descriptor.digest, changed);

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['DIGEST_INVALID']);
      for (const digest of [descriptor.digest, digestOf(changed.bytes)]) {
        expect((await client.head(manifestPath(repository, digest))).status).toBe(404);
      }
    });

    it.each(['sha256:baddigeststring', `sha256:${'F'.repeat(64)}`, `sha512:${'0'.repeat(64)}`, 'sha256:'])(
      'refuses the malformed digest %s with 400',
      async (digest) => {
        const answer = await putManifest(client, await repositoryFor(client), digest, uniqueImage());

        expect(answer.status).toBe(400);
        expect(codes(answer)).toEqual(['DIGEST_INVALID']);
      },
    );
  });

  describe('Pushing Manifests: what is no manifest', () => {
    it.each([
      ['nothing', ''],
      ['no JSON', '{"schemaVersion": 2,'],
      ['no object', '[]'],
      ['no config', JSON.stringify({ schemaVersion: 2, mediaType: OCI_MANIFEST, layers: [] })],
      ['another version', JSON.stringify({ ...asJson(image()), schemaVersion: 3 })],
      ['both an image and an index', JSON.stringify({ ...asJson(image()), manifests: [] })],
    ])('is refused with MANIFEST_INVALID: %s', async (_, body) => {
      const answer = await client.send('PUT', manifestPath(await repositoryFor(client), 'latest'), {
        headers: { 'content-type': OCI_MANIFEST },
        body,
      });

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['MANIFEST_INVALID']);
    });
  });
}

function asJson({ bytes }: Document): Record<string, unknown> {
  return JSON.parse(bytes.toString()) as Record<string, unknown>;
}

function describeSizes(client: RegistryClient): void {
  describe('Pushing Manifests: the size', () => {
    it('takes a manifest of four million bytes', async () => {
      const repository = await repositoryFor(client);
      const manifest = large(390);
      expect(manifest.bytes.length).toBeGreaterThan(3_900_000);

      await expect(client).toHaveCreatedManifest(
        await putManifest(client, repository, 'large', manifest),
        manifest,
      );
    });

    it('takes a manifest of exactly 4 MiB and answers 413 to one byte more', async () => {
      const repository = await repositoryFor(client);
      const { bytes } = image();
      const fill = (size: number) => {
        const filled = Buffer.concat([bytes, Buffer.alloc(size - bytes.length, ' ')]);
        return { bytes: filled, descriptor: descriptorOf(filled, OCI_MANIFEST) };
      };

      expect((await putManifest(client, repository, 'full', fill(4 << 20))).status).toBe(201);

      const answer = await putManifest(client, repository, 'more', fill((4 << 20) + 1));
      expect(answer.status).toBe(413);
      expect(codes(answer)).toEqual(['MANIFEST_INVALID']);
      expect(await tagsOf(client, repository)).toEqual(['full']);
    });
  });
}

/** @param annotations of ten thousand characters each */
function large(annotations: number): Document {
  const entries = Array.from({ length: annotations }, (_, number) => [`large-${number}`, 'A'.repeat(10_000)]);
  return image({ members: { annotations: Object.fromEntries(entries) as Record<string, string> } });
}

function describeSparse(client: RegistryClient): void {
  describe('Push: content that the repository does not have (where the registry allows it)', () => {
    it('takes an image whose layer is missing', async () => {
      const repository = await repositoryFor(client);
      const layer = descriptorOf(noise(100), OCI_LAYER);
      const manifest = image({ layers: [layer] });

      await expect(client).toHaveCreatedManifest(
        await putManifest(client, repository, 'sparse', manifest),
        manifest,
      );
    });

    it('takes an index of which one image is missing', async () => {
      const repository = await repositoryFor(client);
      const present = uniqueImage();
      await pushManifest(client, repository, present);
      const manifest = index([present.descriptor, uniqueImage().descriptor]);

      await expect(client).toHaveCreatedManifest(
        await putManifest(client, repository, 'sparse', manifest),
        manifest,
      );
    });

    it('takes an image before its layer, which then is there', async () => {
      const repository = await repositoryFor(client);
      const bytes = noise(100);
      await pushManifest(client, repository, image({ layers: [descriptorOf(bytes, OCI_LAYER)] }), 'early');

      const digest = await pushBlob(client, repository, bytes);

      expect((await client.head(`/v2/${repository}/blobs/${digest}`)).status).toBe(200);
    });
  });

  describe('Pushing Manifests with Subject', () => {
    it('takes a subject that the repository does not have, and names it in OCI-Subject', async () => {
      const repository = await repositoryFor(client);
      const subject = { mediaType: OCI_MANIFEST, digest: missingDigest(), size: 123 };

      const answer = await putManifest(client, repository, 'attached', uniqueImage({ subject }));

      expect(answer.status).toBe(201);
      expect(header(answer, 'oci-subject')).toBe(subject.digest);
    });

    it('names the subject of an index too', async () => {
      const repository = await repositoryFor(client);
      const subject = { mediaType: OCI_MANIFEST, digest: missingDigest('sha512'), size: 123 };

      const answer = await putManifest(client, repository, 'attached', index([], { subject }));

      expect(answer.status).toBe(201);
      expect(header(answer, 'oci-subject')).toBe(subject.digest);
    });

    it('says nothing of a subject where there is none', async () => {
      const answer = await putManifest(client, await repositoryFor(client), 'plain', uniqueImage());

      expect(header(answer, 'oci-subject')).toBe('');
    });
  });
}
