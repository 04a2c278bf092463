import { createHash } from 'node:crypto';

/**
 * Names what a registry server has loaded: its configuration file and the contents of the files that the
 * configuration names (certificate, key, htpasswd, storage credentials).
 *
 * The server reports it at `/readyz?verbose` as `loadedHash`; the operator computes it from the Secrets it
 * mounts and so knows which Pods have taken over a change. A missing file counts as empty.
 *
 * @param config the bytes of the configuration file
 * @param files contents by path as written in the configuration
 * @returns 64 lower case hexadecimal digits
 */
export function loadedHash(config: Uint8Array, files: ReadonlyMap<string, Uint8Array>): string {
  const outer = createHash('sha256').update(createHash('sha256').update(config).digest());
  for (const path of [...files.keys()].toSorted()) {
    const content = files.get(path) ?? new Uint8Array();
    outer.update(`\n${path}\n`).update(createHash('sha256').update(content).digest());
  }
  return outer.digest('hex');
}

/** Paths of the files that a configuration names and that are reloaded when they change. */
export function reloadedFiles(config: {
  storage: { driver: string; credentialsDirectory?: string | undefined };
  http: { tls?: { certificateFile: string; keyFile: string } | undefined };
  auth: { basic?: { htpasswdFiles: readonly string[] } | undefined };
}): string[] {
  const credentials = config.storage.credentialsDirectory;
  return [
    ...(config.http.tls ? [config.http.tls.certificateFile, config.http.tls.keyFile] : []),
    ...(config.auth.basic?.htpasswdFiles ?? []),
    ...(credentials === undefined ? [] : CREDENTIAL_FILES.map((name) => `${credentials}/${name}`)),
  ];
}

/** Files of a credentials folder; also the keys of the Secret that it is mounted from. */
export const CREDENTIAL_FILES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
