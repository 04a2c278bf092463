import type { ServerReport } from '../server.ts';

/**
 * What a server of several processes says of itself: ready when all of them are, and loaded is what all of them have
 * loaded. While they differ, the hash is empty: it then names nothing that anybody could wait for.
 *
 * @param reports one for each process that should run; undefined for one that does not, or does not answer
 */
export function combinedReport(
  reports: readonly (ServerReport | undefined)[],
  { version, draining }: { readonly version: string; readonly draining: boolean },
): ServerReport {
  const ready = reports.every((report) => report?.status === 'ready');
  const loadedHash = common(reports.map((report) => report?.loadedHash));
  const fingerprint = common(reports.map((report) => report?.certificate?.sha256Fingerprint));
  return {
    status: draining ? 'draining' : ready ? 'ready' : 'unready',
    loadedHash: loadedHash ?? '',
    version,
    certificate: fingerprint === undefined ? undefined : reports[0]?.certificate,
  };
}

/** @returns undefined when they are not all the same */
function common(values: readonly (string | undefined)[]): string | undefined {
  const [first] = values;
  return values.every((value) => value === first) ? first : undefined;
}
