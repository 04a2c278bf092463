import { mutateBytes } from './mutations.ts';
import type { Random } from './random.ts';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

/** An image of these blobs, of which every one is different. */
export function imageOf(config: Descriptor, layers: readonly Descriptor[], random: Random): Buffer {
  const document = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer })),
    annotations: { salt: random.bytes(8).toString('hex') },
  };
  return Buffer.from(JSON.stringify(document));
}

/** An artifact that refers to a manifest. */
export function artifactOf(config: Descriptor, subject: Descriptor, random: Random): Buffer {
  const document = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    artifactType: random.pick(['application/vnd.example.sbom', 'application/vnd.example.signature']),
    config: { mediaType: 'application/vnd.oci.empty.v1+json', ...config },
    layers: [],
    subject: { mediaType: MANIFEST_TYPE, ...subject },
    annotations: { salt: random.bytes(8).toString('hex') },
  };
  return Buffer.from(JSON.stringify(document));
}

export function indexOf(children: readonly Descriptor[], random: Random): Buffer {
  const manifests = children.map((child) => ({ mediaType: MANIFEST_TYPE, ...child }));
  const annotations = { salt: random.bytes(8).toString('hex') };
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests, annotations }));
}

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  2 ** 53,
  1e308,
  '',
  'x',
  '../..',
  [],
  {},
  [[]],
  [null],
  'a'.repeat(10_000),
  { digest: 'x' },
  { size: -1 },
  'sha256:0',
  `sha256:${'0'.repeat(64)}`,
  MANIFEST_TYPE,
  INDEX_TYPE,
  '\u0000',
  '\ud800',
  ['http://x/', 'file:///etc/passwd'],
];
const MEMBERS = [
  'schemaVersion',
  'mediaType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
  'artifactType',
  'digest',
  'size',
  'urls',
  'data',
  'platform',
  '__proto__',
  'constructor',
  'Layers',
  'fsLayers',
  'signatures',
  '',
  'toJSON',
];

/** Changes the document or the bytes of it. */
export function mutateManifest(manifest: Buffer, random: Random): Buffer {
  switch (random.below(6)) {
    case 0:
      return mutateBytes(manifest, random);
    case 1:
      return Buffer.concat([
        manifest,
        random.pick([manifest, Buffer.from(' '), Buffer.from('\0'), Buffer.from('}')]),
      ]);
    case 2:
      return nested(random);
    case 3:
      return repeated(manifest, random);
    default:
      return changedDocument(manifest, random);
  }
}

/** Another value at some place of the document. */
function changedDocument(manifest: Buffer, random: Random): Buffer {
  const document: unknown = JSON.parse(manifest.toString());
  for (let count = random.between(1, 4); count > 0; count -= 1) change(document, random);
  return Buffer.from(JSON.stringify(document));
}

function change(document: unknown, random: Random): void {
  let place = document;
  for (;;) {
    if (typeof place !== 'object' || place === null) return;
    const members = Object.keys(place);
    const member = members.length > 0 && random.chance(0.7) ? random.pick(members) : random.pick(MEMBERS);
    // Own members only: `__proto__` would lead to the objects of this process.
    const inner: unknown = Object.getOwnPropertyDescriptor(place, member)?.value;
    if (typeof inner === 'object' && inner !== null && random.chance(0.6)) {
      place = inner;
      continue;
    }
    if (random.chance(0.2)) Reflect.deleteProperty(place, member);
    else
      Object.defineProperty(place, member, {
        value: structuredClone(random.pick(ODD_VALUES)),
        enumerable: true,
        configurable: true,
        writable: true,
      });
    return;
  }
}

function nested(random: Random): Buffer {
  const [open, close] = random.pick([
    ['[', ']'],
    ['{"a":', '}'],
    ['{"layers":[', ']}'],
  ]);
  const depth = random.pick([10, 65, 1000, 100_000]);
  return Buffer.from(`${open?.repeat(depth)}1${random.chance(0.5) ? close?.repeat(depth) : ''}`);
}

/** A member twice, or a list a thousand times as long. */
function repeated(manifest: Buffer, random: Random): Buffer {
  const text = manifest.toString();
  const member = `"${random.pick(MEMBERS)}":${JSON.stringify(random.pick(ODD_VALUES)) ?? 'null'}`;
  if (random.chance(0.5)) return Buffer.from(text.replace('{', `{${member},`));
  return Buffer.from(
    text.replace('[', `[${`{"digest":"sha256:${'0'.repeat(64)}","size":1,"mediaType":"a/b"},`.repeat(1000)}`),
  );
}
