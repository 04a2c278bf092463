import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ANNOTATIONS } from '../../api/group.ts';
import type { Registry } from '../../api/v1alpha1/registry.ts';
import { AppError } from '../../shared/errors.ts';
import { desired } from '../controllers/registry/desired.ts';
import type { Facts } from '../controllers/registry/facts.ts';
import type { Placement } from '../controllers/registry/placement.ts';
import { configBytes, serverConfig } from '../controllers/registry/resources/config.ts';
import { referencedFiles, wantedHash } from '../controllers/registry/resources/files.ts';

/** What the desired objects of a Registry come down to on one host. */
export interface LocalPlan {
  /** Arguments of the registry container. */
  readonly args: readonly string[];
  /** Changes when the process has to start anew to take the change over. */
  readonly restartHash: string;
  /** What the server reports once it has loaded everything. */
  readonly wantedHash: string;
  /** Contents by absolute path: configuration, certificate, key, htpasswd, credentials, CA bundle. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** `Kind name` of the objects that this host has no use for. */
  readonly notApplied: readonly string[];
}

/** Kinds that become files, folders and a process here. */
const APPLIED_KINDS = new Set(['Service', 'Secret', 'ConfigMap', 'PersistentVolumeClaim', 'Deployment']);

/** Reads the same desired objects that the operator applies in a cluster as files and one process. */
export function localPlan(registry: Registry, facts: Facts, placement: Placement): LocalPlan {
  const objects = desired(registry, facts, placement);
  const template = podTemplateOf(objects.find(({ kind }) => kind === 'Deployment'));
  const config = serverConfig(registry, facts, placement);
  const referenced = referencedFiles(registry, facts, placement);
  return {
    ...template,
    wantedHash: wantedHash(config, referenced),
    files: new Map([[placement.configFile, configBytes(config)], ...referenced]),
    notApplied: objects
      .filter(({ kind }) => !APPLIED_KINDS.has(kind))
      .map(({ kind, metadata }) => `${kind} ${metadata.name}`),
  };
}

/** What is read of a Deployment. */
interface DeploymentShape {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
      readonly spec: { readonly containers: readonly { readonly args?: readonly string[] }[] };
    };
  };
}

function podTemplateOf(deployment: object | undefined): { args: readonly string[]; restartHash: string } {
  if (deployment === undefined || !isDeployment(deployment)) {
    throw new AppError('NO_DEPLOYMENT', 'the Registry has no Deployment: it waits for a certificate');
  }
  const { metadata, spec } = deployment.spec.template;
  return {
    args: spec.containers[0]?.args ?? [],
    restartHash: metadata.annotations?.[ANNOTATIONS.restartHash] ?? '',
  };
}

function isDeployment(object: object): object is DeploymentShape {
  return (
    'spec' in object && typeof object.spec === 'object' && object.spec !== null && 'template' in object.spec
  );
}

/** Makes the folders of the content; only the owner can look into them. */
export async function makeFolders(placement: Placement): Promise<void> {
  for (const folder of [placement.dataDir, placement.spoolDir])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}

/**
 * Brings the files to their wanted contents: each one appears whole, only its owner can read it, unchanged ones are
 * left alone, and those of earlier plans go, so that a removed user is really gone.
 *
 * @returns whether anything changed
 */
export async function applyFiles(
  files: ReadonlyMap<string, Uint8Array>,
  placement: Placement,
): Promise<boolean> {
  let changed = false;
  for (const [path, bytes] of files) {
    if (await hasContent(path, bytes)) continue;
    await writeWhole(path, bytes);
    changed = true;
  }
  const { configFile, tlsDir, authDir, credentialsDir, caBundleDir } = placement;
  for (const folder of [dirname(configFile), tlsDir, authDir, credentialsDir, caBundleDir]) {
    changed = (await removeOthers(folder, files)) || changed;
  }
  return changed;
}

async function removeOthers(folder: string, wanted: ReadonlyMap<string, Uint8Array>): Promise<boolean> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const others = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !wanted.has(path));
  for (const path of others) await rm(path, { force: true });
  return others.length > 0;
}

async function hasContent(path: string, bytes: Uint8Array): Promise<boolean> {
  const present = await readFile(path).catch(() => undefined);
  return present !== undefined && present.equals(bytes);
}

/** Writes beside, syncs, renames: a reader sees the old or the new content, never a part. Readable by the owner only. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}
