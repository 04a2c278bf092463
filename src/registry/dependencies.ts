import { randomBytes, randomUUID } from 'node:crypto';

import type { RegistryConfig } from '../api/registry-config.ts';
import type { Clock } from '../shared/clock.ts';
import type { Logger } from '../shared/logger.ts';
import type { Services } from './app.ts';
import { HtpasswdAuthenticator } from './auth/htpasswd.ts';
import { PasswordVerifier } from './auth/password-verifier.ts';
import { AccessPolicy } from './auth/policy.ts';
import { BlobService } from './distribution/blob-service.ts';
import { CatalogService } from './distribution/catalog-service.ts';
import { createDigesters } from './distribution/digester-pool.ts';
import { IndexRepair } from './distribution/index-repair.ts';
import { ManifestService } from './distribution/manifest-service.ts';
import { ReferrerIndex } from './distribution/referrer-index.ts';
import { ReferrerService } from './distribution/referrer-service.ts';
import { guarded, RepositoryGuard } from './distribution/repository-guard.ts';
import { RepositoryService } from './distribution/repository-service.ts';
import { TagService } from './distribution/tag-service.ts';
import { UploadService } from './distribution/upload-service.ts';
import { createLargeBodies, type LargeBodies } from './http/large-bodies.ts';
import { IndexPass, RepairCounts } from './index-pass.ts';
import type { RegistryMetrics } from './metrics.ts';
import { type ProcessShare, shareOf } from './processes/process-share.ts';
import { createStorage } from './storage/create.ts';
import type { StorageDriver } from './storage/driver.ts';
import { UploadPurge } from './upload-purge.ts';

export interface DependencyOptions {
  readonly config: RegistryConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: RegistryMetrics;
  /** Memory that this process may use, in bytes; 0 when there is no limit. */
  readonly memoryLimit: number;
  /** Set when several processes serve together and share the memory. */
  readonly share?: ProcessShare;
  /** The index of the catalog has become as good as the folders. */
  readonly onCatalogCompared?: () => void;
}

/** Everything that a running server is made of, apart from its sockets. */
export interface Dependencies {
  readonly storage: StorageDriver;
  readonly bodies: LargeBodies;
  readonly services: Services;
  readonly policy: AccessPolicy;
  readonly passwords: HtpasswdAuthenticator;
  /** Not started yet. */
  readonly purge: UploadPurge;
  /** Not started yet. */
  readonly indexes: IndexPass;
  /** Another process has compared the index of the catalog with the folders. */
  useCatalogIndex(): void;
  /** Suspends uploads, then closes the storage and the threads. */
  close(): Promise<void>;
}

/**
 * Makes the parts of a server from its configuration.
 *
 * @throws StorageError when the storage cannot be opened
 */
export async function createDependencies(options: DependencyOptions): Promise<Dependencies> {
  const { config, clock, logger, metrics } = options;
  const bufferBytes = bufferBytesOf(options);
  // Pulls and pushes have a half each, so that neither can starve the other.
  const half = Math.floor(bufferBytes / 2);
  const storage = await createStorage(config.storage, { metrics: metrics.storage, bufferBytes: half });
  const digests = createDigesters({ bufferBytes: half });
  const shared = { storage, digests, clock, ids: { uuid: randomUUID }, logger };
  const referrerIndex = new ReferrerIndex(shared);
  const uploads = new UploadService(shared);
  const purge = new UploadPurge({
    uploads,
    clock,
    logger,
    random: Math.random,
    maxAgeMs: config.uploads.purgeAfterSeconds * 1000,
    intervalMs: config.uploads.purgeIntervalSeconds * 1000,
  });
  const catalog = new CatalogService(shared);
  const guard = new RepositoryGuard();
  const indexes = createIndexPass(options, { storage, catalog, referrers: referrerIndex });
  const verifier = new PasswordVerifier();
  const passwords = new HtpasswdAuthenticator({ verifier, clock, cacheKey: randomBytes(32) });
  return {
    storage,
    bodies: createLargeBodies(bufferBytes),
    services: {
      blobs: new BlobService(shared),
      uploads,
      manifests: guarded(new ManifestService(shared), guard),
      tags: new TagService(shared),
      referrers: new ReferrerService({ ...shared, index: referrerIndex }),
      catalog,
      repositories: new RepositoryService({ ...shared, uploads, guard }),
    },
    policy: new AccessPolicy(config.auth, passwords),
    passwords,
    purge,
    indexes,
    useCatalogIndex: () => catalog.useIndex(),
    close: async () => {
      await Promise.all([purge.close(), indexes.close()]);
      await uploads.close();
      await Promise.all([storage.close(), digests.close(), verifier.close()]);
    },
  };
}

function createIndexPass(
  { clock, logger, metrics, onCatalogCompared }: DependencyOptions,
  parts: { storage: StorageDriver; catalog: CatalogService; referrers: ReferrerIndex },
): IndexPass {
  const counts = new RepairCounts();
  const repair = new IndexRepair({
    ...parts,
    logger,
    onRepair: (index, action) => {
      counts.add(index, action);
      metrics.indexRepaired(index, action);
    },
  });
  const catalog = {
    useIndex: (): void => {
      parts.catalog.useIndex();
      onCatalogCompared?.();
    },
  };
  return new IndexPass({ repair, catalog, counts, clock, logger, random: Math.random });
}

const MAX_BUFFER_BYTES = 128 << 20;
const MIN_BUFFER_BYTES = 4 << 20;
/** As little as the configuration may give to a server. */
const MIN_PROCESS_BUFFER_BYTES = 1 << 20;

/** Of all stream buffers of this process. */
function bufferBytesOf({ config, memoryLimit, share }: DependencyOptions): number {
  const total = config.http.bufferBytes ?? defaultBufferBytes(memoryLimit);
  return share === undefined ? total : shareOf(total, MIN_PROCESS_BUFFER_BYTES, share);
}

/** A quarter of the memory limit, at most 128 MiB. */
function defaultBufferBytes(memoryLimit: number): number {
  if (memoryLimit <= 0) return MAX_BUFFER_BYTES;
  return Math.max(MIN_BUFFER_BYTES, Math.min(MAX_BUFFER_BYTES, Math.floor(memoryLimit / 4)));
}
