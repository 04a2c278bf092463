import { readFile } from 'node:fs/promises';

import { loadedHash, reloadedFiles } from '../../api/loaded-hash.ts';
import type { RegistryConfig } from '../../api/registry-config.ts';
import { errorCode } from '../../shared/errors.ts';
import { parseConfig } from './load.ts';
import { loadCertificate, type LoadedCertificate } from './tls.ts';

/** Where the configuration comes from. */
export interface ConfigSource {
  /** For messages: the path of the file, or `the command line`. */
  readonly name: string;
  /** The file to watch; unset when the configuration cannot change. */
  readonly file?: string;
  read(): Promise<Uint8Array>;
}

/** The configuration and the files that it names, as they were read at one moment. */
export interface Snapshot {
  readonly config: RegistryConfig;
  /** The configuration as it was written. */
  readonly bytes: Uint8Array;
  /** Contents by path; a missing file is empty. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** See `api/loaded-hash.ts`. */
  readonly hash: string;
}

/** A configuration file. */
export function fileSource(file: string): ConfigSource {
  return { name: file, file, read: () => readFile(file) };
}

/** A configuration that is made once, such as from flags. */
export function constantSource(name: string, config: unknown): ConfigSource {
  const bytes = new TextEncoder().encode(JSON.stringify(config));
  return { name, read: () => Promise.resolve(bytes) };
}

/** @throws ConfigInvalid; the error of Node when a file cannot be read for another reason than its absence */
export async function readSnapshot(source: ConfigSource): Promise<Snapshot> {
  const bytes = await source.read();
  const config = parseConfig(bytes, source.name);
  return snapshotOf(bytes, config);
}

/** Reads the files that a configuration names. */
export async function snapshotOf(bytes: Uint8Array, config: RegistryConfig): Promise<Snapshot> {
  const files = new Map<string, Uint8Array>();
  for (const path of reloadedFiles(config)) files.set(path, await readOrEmpty(path));
  return { config, bytes, files, hash: loadedHash(bytes, files) };
}

/**
 * @returns undefined without TLS
 * @throws CertificateInvalid
 */
export function certificateOf({ config, files }: Snapshot): LoadedCertificate | undefined {
  const { tls } = config.http;
  if (!tls) return undefined;
  return loadCertificate(files.get(tls.certificateFile) ?? EMPTY, files.get(tls.keyFile) ?? EMPTY);
}

/** The htpasswd files as text. */
export function htpasswdOf({ config, files }: Snapshot): { path: string; text: string }[] {
  const paths = config.auth.basic?.htpasswdFiles ?? [];
  return paths.map((path) => ({ path, text: new TextDecoder().decode(files.get(path) ?? EMPTY) }));
}

const EMPTY = new Uint8Array();

async function readOrEmpty(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return EMPTY;
    throw error;
  }
}
