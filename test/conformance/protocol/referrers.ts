import { describe, expect, it } from 'vitest';

import { codes, header, json, type RegistryClient } from './client.ts';
import {
  ALGORITHMS,
  ARTIFACT_ONE,
  ARTIFACT_TWO,
  type Descriptor,
  descriptorOf,
  digestOf,
  type Document,
  EMPTY_JSON,
  image,
  index,
  missingDigest,
  noise,
  OCI_CONFIG,
  OCI_EMPTY,
  OCI_INDEX,
  uniqueImage,
} from './content.ts';
import { manifestPath, pushBlob, pushEmptyJson, pushManifest, referrersOf } from './pushing.ts';

interface Prepared {
  readonly repository: string;
  readonly subject: Descriptor;
}

/** A repository with a manifest that others can refer to. */
async function prepared(client: RegistryClient): Promise<Prepared> {
  const repository = client.newRepository();
  await pushEmptyJson(client, repository);
  const manifest = uniqueImage();
  await pushManifest(client, repository, manifest, 'subject');
  return { repository, subject: manifest.descriptor };
}

function attachment(subject: Descriptor, artifactType?: string, annotations = {}): Document {
  return image({
    members: {
      subject,
      ...(artifactType === undefined ? {} : { artifactType }),
      annotations: { 'org.example.unique': noise(8).toString('hex'), ...annotations },
    },
  });
}

function referrersPath(repository: string, digest: string, query = ''): string {
  return `/v2/${repository}/referrers/${digest}${query}`;
}

export function describeReferrers(client: RegistryClient): void {
  describe('Listing Referrers (end-12a)', () => {
    it.each(ALGORITHMS)(
      'answers 200 with an empty index when nothing refers to a %s digest',
      async (algorithm) => {
        const { repository } = await prepared(client);

        const answer = await client.get(referrersPath(repository, missingDigest(algorithm)));

        expect(answer.status).toBe(200);
        expect(header(answer, 'content-type')).toBe(OCI_INDEX);
        expect(json(answer)).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
      },
    );

    it('answers 200 with an empty index when there is no such repository', async () => {
      const answer = await client.get(referrersPath('no/such/repository', missingDigest()));

      expect(answer.status).toBe(200);
      expect(json(answer)).toEqual({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] });
    });

    it.each(['latest', 'sha256:short', `md5:${'0'.repeat(32)}`])(
      'answers 400 to the malformed digest %s',
      async (digest) => {
        const answer = await client.get(referrersPath(client.newRepository(), digest));

        expect(answer.status).toBe(400);
        expect(codes(answer)).toEqual(['DIGEST_INVALID']);
      },
    );

    it('describes each manifest that refers to the subject, with its annotations', async () => {
      const { repository, subject } = await prepared(client);
      const annotations = { 'org.example.kind': 'signature' };
      const manifest = attachment(subject, ARTIFACT_ONE, annotations);
      await pushManifest(client, repository, manifest);

      const [found, ...others] = await referrersOf(client, repository, subject.digest);

      expect(others).toEqual([]);
      expect(found).toMatchObject({ ...manifest.descriptor, artifactType: ARTIFACT_ONE, annotations });
    });

    it('takes the type of the config where an image has no artifactType', async () => {
      const { repository, subject } = await prepared(client);
      const bytes = noise(20);
      await pushBlob(client, repository, bytes);
      const members = { subject };
      await pushManifest(client, repository, image({ config: descriptorOf(bytes, OCI_CONFIG), members }));

      expect((await referrersOf(client, repository, subject.digest))[0]?.artifactType).toBe(OCI_CONFIG);
    });

    it('leaves artifactType out where an index has none', async () => {
      const { repository, subject } = await prepared(client);
      await pushManifest(client, repository, index([], { subject }));

      const [found] = await referrersOf(client, repository, subject.digest);

      expect(found?.mediaType).toBe(OCI_INDEX);
      expect(found).not.toHaveProperty('artifactType');
    });

    it('describes an index with an artifactType', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = index([], { subject, artifactType: ARTIFACT_TWO, annotations: { a: 'b' } });
      await pushManifest(client, repository, manifest);

      const found = await referrersOf(client, repository, subject.digest);

      expect(found).toEqual([
        { ...manifest.descriptor, artifactType: ARTIFACT_TWO, annotations: { a: 'b' } },
      ]);
    });

    it('lists what refers to a manifest that was never pushed', async () => {
      const { repository, subject } = await prepared(client);
      const missing = { ...subject, digest: missingDigest() };
      const manifest = attachment(missing, ARTIFACT_ONE);
      await pushManifest(client, repository, manifest, 'attached');

      expect(digests(await referrersOf(client, repository, missing.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
    });

    it('lists a manifest once, however often and under however many tags it was pushed', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = attachment(subject, ARTIFACT_ONE);
      for (const reference of [manifest.descriptor.digest, 'a', 'b', 'a']) {
        await pushManifest(client, repository, manifest, reference);
      }

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
    });

    it('lists nothing of another repository', async () => {
      const [first, second] = [await prepared(client), await prepared(client)];
      await pushManifest(client, first.repository, attachment(first.subject, ARTIFACT_ONE));

      expect(await referrersOf(client, second.repository, first.subject.digest)).toEqual([]);
    });

    it('lists what is pushed by and refers to sha512 digests', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository, 'sha512');
      const subject = image({ algorithm: 'sha512' });
      const members = { subject: subject.descriptor, artifactType: ARTIFACT_ONE };
      const manifest = image({ algorithm: 'sha512', members });
      for (const pushed of [subject, manifest]) await pushManifest(client, repository, pushed);

      const found = await referrersOf(client, repository, subject.descriptor.digest);

      expect(digests(found)).toEqual([manifest.descriptor.digest]);
    });
  });

  describeFilter(client);
  describePaging(client);
  describeChanges(client);
}

function digests(descriptors: readonly Descriptor[]): string[] {
  return descriptors.map(({ digest }) => digest);
}

function describeFilter(client: RegistryClient): void {
  describe('Listing Referrers: the filter artifactType (end-12b)', () => {
    it('lists only those of the type, and says that it has done so', async () => {
      const { repository, subject } = await prepared(client);
      const [one, two] = [attachment(subject, ARTIFACT_ONE), attachment(subject, ARTIFACT_TWO)];
      for (const manifest of [one, two, attachment(subject)])
        await pushManifest(client, repository, manifest);
      const query = `?artifactType=${encodeURIComponent(ARTIFACT_TWO)}`;

      const answer = await client.get(referrersPath(repository, subject.digest, query));

      expect(answer.status).toBe(200);
      expect(header(answer, 'oci-filters-applied')).toBe('artifactType');
      expect(digests((json(answer) as { manifests: Descriptor[] }).manifests)).toEqual([
        two.descriptor.digest,
      ]);
    });

    it('finds by the type of the config what has no artifactType', async () => {
      const { repository, subject } = await prepared(client);
      const plain = attachment(subject);
      for (const manifest of [plain, attachment(subject, ARTIFACT_ONE)]) {
        await pushManifest(client, repository, manifest);
      }

      const found = await referrersOf(
        client,
        repository,
        subject.digest,
        `?artifactType=${encodeURIComponent(OCI_EMPTY)}`,
      );

      expect(digests(found)).toEqual([plain.descriptor.digest]);
    });

    it('answers an empty list to a type that nothing has', async () => {
      const { repository, subject } = await prepared(client);
      await pushManifest(client, repository, attachment(subject, ARTIFACT_ONE));

      const answer = await client.get(referrersPath(repository, subject.digest, '?artifactType=none/such'));

      expect(header(answer, 'oci-filters-applied')).toBe('artifactType');
      expect((json(answer) as { manifests: Descriptor[] }).manifests).toEqual([]);
    });

    it('does not speak of a filter where none was asked for', async () => {
      const { repository, subject } = await prepared(client);

      const answer = await client.get(referrersPath(repository, subject.digest));

      expect(header(answer, 'oci-filters-applied')).toBe('');
    });
  });
}

/** Follows the Link headers of a list of referrers. @returns the digests of each page */
async function pagesOf(client: RegistryClient, first: string): Promise<string[][]> {
  const pages: string[][] = [];
  for (let next: string | undefined = first; next !== undefined;) {
    const answer = await client.get(next);
    expect(answer.status).toBe(200);
    expect(header(answer, 'content-type')).toBe(OCI_INDEX);
    pages.push(digests((json(answer) as { manifests: Descriptor[] }).manifests));
    next = /^<([^>]+)>; rel="next"$/.exec(header(answer, 'link'))?.[1];
  }
  return pages;
}

function describePaging(client: RegistryClient): void {
  describe('Listing Referrers: pages', () => {
    it('gives the rest behind Link, each manifest once', async () => {
      const { repository, subject } = await prepared(client);
      const manifests = Array.from({ length: 7 }, () => attachment(subject, ARTIFACT_ONE));
      for (const manifest of manifests) await pushManifest(client, repository, manifest);

      const pages = await pagesOf(client, referrersPath(repository, subject.digest, '?n=3'));

      expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
      expect(pages.flat().toSorted()).toEqual(
        manifests.map(({ descriptor }) => descriptor.digest).toSorted(),
      );
    });

    it('keeps the filter from page to page', async () => {
      const { repository, subject } = await prepared(client);
      const wanted = Array.from({ length: 4 }, () => attachment(subject, ARTIFACT_ONE));
      const others = Array.from({ length: 4 }, () => attachment(subject, ARTIFACT_TWO));
      for (const manifest of [...wanted, ...others]) await pushManifest(client, repository, manifest);
      const query = `?n=2&artifactType=${encodeURIComponent(ARTIFACT_ONE)}`;

      const pages = await pagesOf(client, referrersPath(repository, subject.digest, query));

      expect(pages.flat().toSorted()).toEqual(wanted.map(({ descriptor }) => descriptor.digest).toSorted());
    });

    it('keeps every page below the size of the largest manifest', async () => {
      const { repository, subject } = await prepared(client);
      const annotations = { large: 'A'.repeat(1_500_000) };
      const manifests = [1, 2, 3].map(() => attachment(subject, ARTIFACT_ONE, annotations));
      for (const manifest of manifests) await pushManifest(client, repository, manifest);

      const first = await client.get(referrersPath(repository, subject.digest));
      const pages = await pagesOf(client, referrersPath(repository, subject.digest));

      expect(first.body.length).toBeLessThanOrEqual(4 << 20);
      expect(pages.length).toBeGreaterThan(1);
      expect(pages.flat().toSorted()).toEqual(
        manifests.map(({ descriptor }) => descriptor.digest).toSorted(),
      );
    });
  });
}

function describeChanges(client: RegistryClient): void {
  describe('Listing Referrers: what was deleted', () => {
    it('is gone from the list at once', async () => {
      const { repository, subject } = await prepared(client);
      const [kept, dropped] = [attachment(subject, ARTIFACT_ONE), attachment(subject, ARTIFACT_ONE)];
      for (const manifest of [kept, dropped]) await pushManifest(client, repository, manifest);

      await expect(client).toDelete(manifestPath(repository, dropped.descriptor.digest));

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        kept.descriptor.digest,
      ]);
    });

    it('stays in the list when only its tag is deleted', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = attachment(subject, ARTIFACT_ONE);
      await pushManifest(client, repository, manifest, 'attached');

      await expect(client).toDelete(manifestPath(repository, 'attached'));

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
    });

    it('leaves its referrers where it was a subject itself', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = attachment(subject, ARTIFACT_ONE);
      await pushManifest(client, repository, manifest);

      await expect(client).toDelete(manifestPath(repository, subject.digest));

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
      expect((await client.head(manifestPath(repository, manifest.descriptor.digest))).status).toBe(200);
    });

    it('is listed again when it is pushed again', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = attachment(subject, ARTIFACT_ONE);
      await pushManifest(client, repository, manifest);
      await expect(client).toDelete(manifestPath(repository, manifest.descriptor.digest));

      await pushManifest(client, repository, manifest);

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
    });
  });

  describe('Enabling the Referrers API: the tag of older clients', () => {
    it('adds nothing twice that such a client lists there too', async () => {
      const { repository, subject } = await prepared(client);
      const manifest = attachment(subject, ARTIFACT_ONE);
      await pushManifest(client, repository, manifest);
      const list = index([{ ...manifest.descriptor, artifactType: ARTIFACT_ONE }]);
      await pushManifest(client, repository, list, subject.digest.replace(':', '-'));

      expect(digests(await referrersOf(client, repository, subject.digest))).toEqual([
        manifest.descriptor.digest,
      ]);
    });

    it('serves the tag itself like any other', async () => {
      const { repository, subject } = await prepared(client);
      const tag = digestOf(EMPTY_JSON).replace(':', '-');
      await pushManifest(client, repository, index([subject]), tag);

      expect((await client.head(manifestPath(repository, tag))).status).toBe(200);
    });
  });
}
