import type { Registry } from '../../api/v1alpha1/registry.ts';
import type { LocalFolders } from './folders.ts';

/** What the user is told once everything runs. */
export interface RunningReport {
  readonly registry: Registry;
  readonly folders: LocalFolders;
  readonly seconds: number;
}

/** Lines that say where the registry is and how to use it, ready to be copied into a shell. */
export function usageLines({ registry, folders, seconds }: RunningReport): string[] {
  const { listen } = folders.placement;
  const plain = registry.spec.tls.type === 'None';
  const scheme = plain ? 'http' : 'https';
  const trust = plain || registry.spec.tls.type === 'Secret' ? '' : `SSL_CERT_FILE=${folders.caFile} `;
  const curlTrust = plain || registry.spec.tls.type === 'Secret' ? '' : `--cacert ${folders.caFile} `;
  const login = registry.spec.auth.basic === undefined ? [] : [`  log in   docker login ${listen}`];
  return [
    '',
    `Registry ${nameOf(registry)} is ready after ${seconds.toFixed(1)} s: ${scheme}://${listen}`,
    '',
    `  endpoint ${listen}`,
    `  data     ${dataLine(registry, folders)}`,
    ...(trust === '' ? [] : [`  CA       ${folders.caFile}`]),
    `  metrics  http://${folders.placement.opsListen}/metrics`,
    ...login,
    '',
    'Use it:',
    `  docker tag IMAGE ${listen}/IMAGE && docker push ${listen}/IMAGE`,
    `  ${trust}crane copy IMAGE ${listen}/IMAGE${plain ? ' --insecure' : ''}`,
    `  curl ${curlTrust}${scheme}://${listen}/v2/_catalog`,
    '',
    'Edit the file and the change is taken over. Ctrl-C ends.',
    '',
  ];
}

/** `namespace/name` of a Registry. */
export function nameOf(registry: Registry): string {
  return `${registry.metadata.namespace ?? 'default'}/${registry.metadata.name}`;
}

function dataLine(registry: Registry, folders: LocalFolders): string {
  const { storage } = registry.spec;
  if (storage.s3 !== undefined) return `bucket ${storage.s3.bucket}`;
  return folders.placement.dataDir;
}

/** The most useful lines of a server's log for a person: its messages from warnings up, in plain words. */
export function logLine(line: string): string | undefined {
  let entry: unknown;
  try {
    entry = JSON.parse(line);
  } catch {
    return line;
  }
  if (typeof entry !== 'object' || entry === null) return line;
  const level: unknown = Reflect.get(entry, 'level');
  const message: unknown = Reflect.get(entry, 'msg');
  if (level === 'warn' || level === 'error' || level === 'fatal')
    return `${level}: ${String(message)} ${line}`;
  return undefined;
}
