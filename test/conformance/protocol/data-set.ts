import { gzipSync } from 'node:zlib';

import {
  type Algorithm,
  descriptorOf,
  type Descriptor,
  type Document,
  EMPTY_JSON,
  image,
  index,
  noise,
  OCI_CONFIG,
  OCI_EMPTY,
  OCI_LAYER,
} from './content.ts';

const AMD64 = { os: 'linux', architecture: 'amd64' };
const ARM64 = { os: 'linux', architecture: 'arm64' };

/** What an image or index of a data set has beside what all have. */
export interface Traits {
  readonly tag?: string;
  readonly members?: Readonly<Record<string, unknown>>;
}

export interface ImageTraits extends Traits {
  /** Layers as they are; unset makes two, as `layer` says. */
  readonly layers?: readonly Descriptor[];
  /** Media type of made layers. */
  readonly layerType?: string;
  /** Config as it is; unset makes one of an image. */
  readonly config?: Descriptor;
}

/** How the descriptors and documents of a data set are made. */
export interface DataSetOptions {
  readonly algorithm?: Algorithm;
  /** Repeats the content in the `data` member of every descriptor. */
  readonly inlineData?: boolean;
  /** Adds a member that the specification does not know to every document. */
  readonly unknownMembers?: boolean;
  /** Tags are set by the push of the digest. */
  readonly tagParameters?: boolean;
}

/** Content that belongs together: blobs, manifests in the order of their push, tags, and who refers to whom. */
export class DataSet {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests: Document[] = [];
  readonly tags = new Map<string, Document>();
  readonly referrers = new Map<string, Descriptor[]>();
  readonly options: DataSetOptions;

  constructor(options: DataSetOptions = {}) {
    this.options = options;
  }

  get algorithm(): Algorithm {
    return this.options.algorithm ?? 'sha256';
  }

  blob(bytes: Buffer, mediaType: string): Descriptor {
    const descriptor = this.#describe(bytes, mediaType);
    this.blobs.set(descriptor.digest, bytes);
    return descriptor;
  }

  /** A layer that no other image has. */
  layer(mediaType = `${OCI_LAYER}+gzip`): Descriptor {
    const content = noise(600);
    return this.blob(mediaType.endsWith('+gzip') ? gzipSync(content) : content, mediaType);
  }

  /** The config of an artifact. */
  emptyConfig(): Descriptor {
    return this.blob(EMPTY_JSON, OCI_EMPTY);
  }

  image({ tag, members, layers, layerType, config }: ImageTraits = {}, platform = AMD64): Document {
    const content = layers ?? [this.layer(layerType), this.layer(layerType)];
    const made = image({
      algorithm: this.algorithm,
      config: config ?? this.#imageConfig(content, platform),
      layers: content,
      members: { ...members, ...this.#unknown() },
    });
    return this.#add(made, { ...(tag === undefined ? {} : { tag }), ...(members ? { members } : {}) });
  }

  /** An index of images that are in the set; of two new ones when it is not said of which. */
  index(traits: Traits = {}, children?: readonly Document[]): Document {
    const described = children?.map(({ descriptor }) => descriptor) ?? [
      { ...this.image().descriptor, platform: AMD64 },
      { ...this.image({}, ARM64).descriptor, platform: ARM64 },
    ];
    const made = index(described, { ...traits.members, ...this.#unknown() }, this.algorithm);
    return this.#add(made, traits);
  }

  #add(made: Document, { tag, members }: Traits): Document {
    const { bytes } = made;
    const added = { bytes, descriptor: this.#describe(bytes, made.descriptor.mediaType) };
    this.manifests.push(added);
    if (tag !== undefined) this.tags.set(tag, added);
    const subject = members?.['subject'];
    if (isDescriptor(subject)) this.#refer(subject.digest, added);
    return added;
  }

  /** What the list of referrers has to say of a manifest. */
  #refer(subject: string, { bytes, descriptor }: Document): void {
    const body = JSON.parse(bytes.toString()) as {
      artifactType?: string;
      annotations?: Record<string, string>;
      config?: Descriptor;
    };
    const artifactType = body.artifactType ?? body.config?.mediaType;
    const { mediaType, digest, size } = descriptor;
    const expected = {
      mediaType,
      digest,
      size,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(body.annotations === undefined ? {} : { annotations: body.annotations }),
    };
    this.referrers.set(subject, [...(this.referrers.get(subject) ?? []), expected]);
  }

  #imageConfig(layers: readonly Descriptor[], platform: typeof AMD64): Descriptor {
    const config = {
      ...platform,
      author: 'the protocol suite',
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      ...this.#unknown(),
    };
    return this.blob(Buffer.from(JSON.stringify(config)), OCI_CONFIG);
  }

  #describe(bytes: Buffer, mediaType: string): Descriptor {
    const descriptor = descriptorOf(bytes, mediaType, this.algorithm);
    return this.options.inlineData ? { ...descriptor, data: bytes.toString('base64') } : descriptor;
  }

  #unknown(): Record<string, unknown> {
    return this.options.unknownMembers
      ? { [`org.example.${noise(4).toString('hex')}`]: { nested: [1, 'two', null] } }
      : {};
  }
}

function isDescriptor(value: unknown): value is Descriptor {
  return typeof value === 'object' && value !== null && 'digest' in value;
}
