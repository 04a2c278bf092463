import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Answer, header, json, location, type RegistryClient } from './client.ts';
import {
  ARTIFACT_ONE,
  ARTIFACT_TWO,
  descriptorOf,
  type Descriptor,
  EMPTY_JSON,
  noise,
  OCI_EMPTY,
  OCI_FOREIGN_LAYER,
  OCI_INDEX,
  OCI_LAYER,
  OCTETS,
  uniqueImage,
} from './content.ts';
import { DataSet, type ImageTraits } from './data-set.ts';
import {
  ACCEPT,
  blobPath,
  manifestPath,
  pushBlob,
  putManifest,
  referrersOf,
  tagsIn,
  tagsOf,
} from './pushing.ts';

/** An artifact: its type is its own, its config is empty, its content is whatever it likes. */
function artifact(set: DataSet, artifactType: string, traits: ImageTraits = {}): ImageTraits {
  const members = { artifactType, annotations: { unique: noise(8).toString('hex') }, ...traits.members };
  return { config: set.emptyConfig(), layers: [set.blob(noise(2048), artifactType)], ...traits, members };
}

function large(): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: 390 }, (_, number) => [`large-${number}`, 'A'.repeat(10_000)]),
  );
}

function foreignLayer(mediaType: string): Descriptor {
  const bytes = noise(256);
  return { ...descriptorOf(bytes, mediaType), urls: ['https://store.example.com/blobs/one'] };
}

/** The contents that the specification of images allows, each with the tags and the referrers that it has. */
const DATA_SETS: Readonly<Record<string, () => DataSet>> = {
  image: () => filled((set) => set.image({ tag: 'image' })),
  'uncompressed image': () => filled((set) => set.image({ tag: 'plain', layerType: OCI_LAYER })),
  'image with a large manifest': () =>
    filled((set) => set.image({ tag: 'large', members: { annotations: large() } })),
  'image without layers': () => filled((set) => set.image({ tag: 'no-layers', layers: [] })),
  index: () => filled((set) => set.index({ tag: 'index' })),
  'index of indexes': () => filled((set) => set.index({ tag: 'nested' }, [set.index(), set.index()])),
  'empty index': () => filled((set) => set.index({ tag: 'empty' }, [])),
  artifact: () => filled((set) => set.image(artifact(set, ARTIFACT_ONE, { tag: 'artifact' }))),
  'index that is an artifact': () =>
    filled((set) => {
      const children = [1, 2].map(() => set.image(artifact(set, ARTIFACT_ONE)));
      return set.index({ tag: 'artifacts', members: { artifactType: ARTIFACT_ONE } }, children);
    }),
  'artifact without content': () =>
    filled((set) =>
      set.image(artifact(set, ARTIFACT_ONE, { tag: 'empty', layers: [set.blob(EMPTY_JSON, OCI_EMPTY)] })),
    ),
  'artifacts with a subject': () =>
    filled((set) => {
      const subject = set.image({ tag: 'image' }).descriptor;
      set.image({ members: { subject } });
      set.image(
        artifact(set, ARTIFACT_ONE, { tag: 'one', members: { subject, artifactType: ARTIFACT_ONE } }),
      );
      const layers = [set.blob(noise(2048), OCTETS)];
      const annotations = { 'org.example.suite': 'hello', unique: noise(8).toString('hex') };
      const members = { subject, annotations, artifactType: ARTIFACT_TWO };
      set.image(artifact(set, ARTIFACT_TWO, { tag: 'two', layers, members }));
    }),
  'index with a subject': () =>
    filled((set) => {
      const subject = set.index({ tag: 'index' }).descriptor;
      const annotations = { 'org.example.suite': 'hello' };
      set.index({ tag: 'attached', members: { subject, annotations, artifactType: ARTIFACT_ONE } });
      set.index({ members: { subject, annotations } }, []);
    }),
  'artifact whose subject is missing': () =>
    filled((set) => {
      const members = { subject: uniqueImage().descriptor, artifactType: ARTIFACT_ONE };
      set.image(artifact(set, ARTIFACT_ONE, { tag: 'attached', members }));
    }),
  'image with data in its descriptors': () =>
    filled((set) => set.image({ tag: 'data' }), new DataSet({ inlineData: true })),
  'image with layers that are not distributed': () =>
    filled((set) => {
      const foreign = [foreignLayer(OCI_FOREIGN_LAYER), foreignLayer(`${OCI_FOREIGN_LAYER}+gzip`)];
      return set.image({ tag: 'foreign', layers: [...foreign, set.layer()] });
    }),
  'index with members that nobody knows': () =>
    filled((set) => set.index({ tag: 'unknown' }), new DataSet({ unknownMembers: true })),
  'sparse image and index': () =>
    filled((set) => {
      const missing = descriptorOf(noise(100), `${OCI_LAYER}+gzip`);
      set.image({ tag: 'sparse-image', layers: [set.layer(), missing] });
      set.index({ tag: 'sparse-index' }, [set.image(), uniqueImage()]);
    }),
  'index by sha512': () => filled((set) => set.index(), new DataSet({ algorithm: 'sha512' })),
  'index with tag parameters': () => filled(tagEverything, new DataSet({ tagParameters: true })),
  'index by sha512 with tag parameters': () =>
    filled(tagEverything, new DataSet({ algorithm: 'sha512', tagParameters: true })),
  'subject and artifact by sha512': () =>
    filled(
      (set) => {
        const subject = set.image().descriptor;
        set.image(artifact(set, ARTIFACT_ONE, { members: { subject, artifactType: ARTIFACT_ONE } }));
      },
      new DataSet({ algorithm: 'sha512' }),
    ),
};

function filled(fill: (set: DataSet) => unknown, set = new DataSet()): DataSet {
  fill(set);
  return set;
}

/** Every manifest gets a tag, the index two. */
function tagEverything(set: DataSet): void {
  set.index({ tag: 'top' });
  for (const [number, manifest] of set.manifests.entries()) set.tags.set(`number-${number}`, manifest);
}

export function describeDataSets(client: RegistryClient): void {
  describe.each(Object.entries(DATA_SETS))('every workflow with this content: %s', (_, make) => {
    const set = make();
    let repository = '';
    const pushed: { answer: Answer; digest: string }[] = [];

    beforeAll(async () => {
      repository = client.newRepository('data');
      for (const bytes of set.blobs.values()) await pushBlob(client, repository, bytes, set.algorithm);
      for (const manifest of set.manifests) {
        const { digest } = manifest.descriptor;
        const tags = set.options.tagParameters ? tagsFor(set, digest) : [];
        const query =
          tags.length === 0 ? '' : `?${new URLSearchParams(tags.map((tag) => ['tag', tag])).toString()}`;
        const answer = await putManifest(client, repository, `${digest}${query}`, manifest);
        pushed.push({ answer, digest });
      }
      if (set.options.tagParameters) return;
      for (const [tag, manifest] of set.tags) {
        const answer = await putManifest(client, repository, tag, manifest);
        pushed.push({ answer, digest: manifest.descriptor.digest });
      }
    });
    afterAll(() => set.blobs.clear());

    it('Push: every manifest is answered 201, and its Location leads to it', async () => {
      const byDigest = new Map(set.manifests.map((manifest) => [manifest.descriptor.digest, manifest]));
      for (const { answer, digest } of pushed) {
        const manifest = byDigest.get(digest);
        if (manifest === undefined) throw new Error('pushed what is not in the set');
        await expect(client).toHaveCreatedManifest(answer, manifest);
        expect(location(answer).pathname).toBe(manifestPath(repository, digest));
        expect(header(answer, 'oci-subject')).toBe(subjectOf(manifest.bytes) ?? '');
        expect(tagsIn(answer)).toEqual(set.options.tagParameters ? tagsFor(set, digest) : []);
      }
    });

    it('Content Discovery: its tags are listed, also after the middle one', async () => {
      const tags = [...set.tags.keys()].toSorted();
      expect(await tagsOf(client, repository)).toEqual(tags);

      const middle = tags[Math.max(0, (tags.length >> 1) - 1)];
      if (middle === undefined) return;
      expect(await tagsOf(client, repository, `?last=${middle}`)).toEqual(
        tags.slice(tags.indexOf(middle) + 1),
      );
    });

    it.each(['HEAD', 'GET'])('Pull: manifests by tag, by digest, and blobs, by %s', async (method) => {
      for (const [tag, manifest] of set.tags) {
        expect(await client.send(method, manifestPath(repository, tag), { headers: ACCEPT })).toBeManifest(
          manifest,
          method,
        );
      }
      for (const manifest of set.manifests) {
        const path = manifestPath(repository, manifest.descriptor.digest);
        expect(await client.send(method, path, { headers: ACCEPT })).toBeManifest(manifest, method);
      }
      for (const [digest, bytes] of set.blobs) await expect(client).toServeBlob(repository, digest, bytes);
    });

    it('Content Discovery: its referrers are listed, and filtered by type', async () => {
      for (const [subject, expected] of set.referrers) {
        expect(sorted(await referrersOf(client, repository, subject))).toEqual(sorted(expected));
        for (const type of new Set(expected.map(({ artifactType }) => artifactType))) {
          if (type !== undefined) await expectFiltered(client, { repository, subject, expected, type });
        }
      }
      const all = set.manifests.map(({ descriptor }) => descriptor.digest);
      for (const digest of all.filter((subject) => !set.referrers.has(subject))) {
        expect(await referrersOf(client, repository, digest)).toEqual([]);
      }
    });

    it('Content Management: tags, manifests and blobs are deleted at once', async () => {
      for (const tag of set.tags.keys()) await expect(client).toDelete(manifestPath(repository, tag));
      for (const { descriptor } of set.manifests.toReversed()) {
        await expect(client).toDelete(manifestPath(repository, descriptor.digest));
      }
      for (const digest of set.blobs.keys()) await expect(client).toDelete(blobPath(repository, digest));
      expect(await remainingTags(client, repository)).toEqual([]);
      for (const subject of set.referrers.keys()) {
        expect(await referrersOf(client, repository, subject)).toEqual([]);
      }
    });
  });
}

interface Filtered {
  readonly repository: string;
  readonly subject: string;
  readonly expected: readonly Descriptor[];
  readonly type: string;
}

async function expectFiltered(client: RegistryClient, filtered: Filtered): Promise<void> {
  const { repository, subject, expected, type } = filtered;
  const query = `?artifactType=${encodeURIComponent(type)}`;
  const answer = await client.get(`/v2/${repository}/referrers/${subject}${query}`);

  expect(header(answer, 'content-type')).toBe(OCI_INDEX);
  expect(header(answer, 'oci-filters-applied')).toBe('artifactType');
  const { manifests } = json(answer) as { manifests: Descriptor[] };
  expect(sorted(manifests)).toEqual(sorted(expected.filter(({ artifactType }) => artifactType === type)));
}

/** The tags of a repository from which everything was deleted: it may be unknown by now. */
async function remainingTags(client: RegistryClient, repository: string): Promise<string[]> {
  const answer = await client.get(`/v2/${repository}/tags/list`);
  return answer.status === 404 ? [] : (json(answer) as { tags: string[] }).tags;
}

function sorted(descriptors: readonly Descriptor[]): Descriptor[] {
  return descriptors.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
}

function tagsFor(set: DataSet, digest: string): string[] {
  return [...set.tags]
    .filter(([, manifest]) => manifest.descriptor.digest === digest)
    .map(([tag]) => tag)
    .toSorted();
}

function subjectOf(bytes: Buffer): string | undefined {
  return (JSON.parse(bytes.toString()) as { subject?: Descriptor }).subject?.digest;
}
