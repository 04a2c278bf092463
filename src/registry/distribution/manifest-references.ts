import type { StorageDriver, StorageKey } from '../storage/driver.ts';
import { mapConcurrently } from './concurrency.ts';
import type { Descriptor } from './descriptor.ts';
import { algorithmOf, type Digest } from './digest.ts';
import { blobDataKey, layerLinkKey, revisionLinkKey } from './layout.ts';
import type { Links } from './links.ts';
import type { ManifestContent, ManifestDescriptor } from './manifest-schema.ts';
import { isManifestMediaType, NON_DISTRIBUTABLE } from './media-types.ts';
import type { RepositoryName } from './names.ts';
import type { ServiceCall } from './service-dependencies.ts';

/** What must be in the repository before a manifest is. */
export interface RequiredContent {
  readonly kind: 'blob' | 'manifest' | 'any';
  readonly descriptor: Descriptor;
}

/** References that are looked for at the same time. */
const CONCURRENCY = 16;
/** Missing references that are reported; the search ends there. */
const MAX_REPORTED = 64;

/**
 * The content that a manifest needs, each once.
 *
 * Not needed: content with `urls`, which clients fetch elsewhere, layers of a non-distributable type, and the
 * `subject`, which may be pushed later (OCI dist-spec "Pushing Manifests with Subject"). `data` in a descriptor
 * replaces nothing, because not every client reads it. A child of an index that is of no manifest type (build
 * caches list layers there) may be either.
 */
export function requiredContent(content: ManifestContent): readonly RequiredContent[] {
  const required = new Map<string, RequiredContent>();
  const add = (kind: RequiredContent['kind'], descriptor: ManifestDescriptor): void => {
    if (descriptor.urls.length > 0 || NON_DISTRIBUTABLE.has(descriptor.mediaType)) return;
    required.set(descriptor.digest, { kind, descriptor });
  };
  if (content.kind === 'image') {
    for (const descriptor of [content.config, ...content.layers]) add('blob', descriptor);
  } else {
    for (const child of content.manifests)
      add(isManifestMediaType(child.mediaType) ? 'manifest' : 'any', child);
  }
  return [...required.values()];
}

/** What a repository lacks of what a manifest needs. */
export interface MissingContent {
  /** At most 64. */
  readonly descriptors: readonly Descriptor[];
  /** The search ended before its end; there may be more. */
  readonly more: boolean;
  /** How many references the manifest needs, each counted once. */
  readonly required: number;
}

interface ContentStore {
  readonly storage: StorageDriver;
  readonly links: Links;
}

/** Looks for the required contents in the repository. */
export async function findMissing(
  store: ContentStore,
  name: RepositoryName,
  required: readonly RequiredContent[],
  call: ServiceCall,
): Promise<MissingContent> {
  const missing: Descriptor[] = [];
  await mapConcurrently(untilFull(required, missing), CONCURRENCY, async ({ kind, descriptor }) => {
    const { digest, mediaType, size } = descriptor;
    const keys = {
      blob: [layerLinkKey(name, digest)],
      manifest: [revisionLinkKey(name, digest)],
      any: [revisionLinkKey(name, digest), layerLinkKey(name, digest)],
    }[kind];
    if (!(await isThere(store, digest, keys, call))) missing.push({ mediaType, digest, size });
  });
  const descriptors = missing.slice(0, MAX_REPORTED);
  return { descriptors, more: missing.length >= MAX_REPORTED, required: required.length };
}

/** Whether one of the links is there, and the content. */
async function isThere(
  { storage, links }: ContentStore,
  digest: Digest,
  keys: readonly StorageKey[],
  call: ServiceCall,
): Promise<boolean> {
  const has = async (target: Digest): Promise<boolean> =>
    (await storage.stat(blobDataKey(target), call)) !== undefined;
  const resolve = (key: StorageKey): Promise<Digest | undefined> => links.resolve(key, digest, call);
  // A sha256 link can only name its own digest, so the content may be asked for at the same time.
  if (algorithmOf(digest) === 'sha256') {
    const [isStored, ...targets] = await Promise.all([has(digest), ...keys.map(resolve)]);
    return isStored && targets.some((target) => target !== undefined);
  }
  for (const target of await Promise.all(keys.map(resolve))) {
    if (target !== undefined && (await has(target))) return true;
  }
  return false;
}

function* untilFull(
  required: readonly RequiredContent[],
  missing: readonly Descriptor[],
): Generator<RequiredContent> {
  for (const item of required) {
    if (missing.length >= MAX_REPORTED) return;
    yield item;
  }
}
