import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * The files that take longest, longest first. One of them that starts last keeps a tier waiting while the other
 * workers have nothing to do; how long they take shows neither in their size nor, in a fresh checkout, in earlier runs.
 */
const LONGEST = [
  'conformance/protocol/s3-secured.test.ts',
  'conformance/protocol/s3-open.test.ts',
  'conformance/storage/s3-ceph.test.ts',
  'conformance/storage/s3-versitygw.test.ts',
  'conformance/operator/leader-election.test.ts',
  'conformance/operator/reflector.test.ts',
  'conformance/storage/s3-slow-writers.test.ts',
  'conformance/protocol/filesystem-secured.test.ts',
  'conformance/protocol/filesystem-open.test.ts',
  'integration/registry/cross-reading-bucket.test.ts',
  'integration/registry/cross-reading-folder.test.ts',
  'integration/registry/crash.test.ts',
  'integration/registry/upload-recovery.test.ts',
  'integration/registry/repositories.test.ts',
  'integration/operator/reconcile.test.ts',
  'cluster/cluster.test.ts',
  'integration/registry/uploads.test.ts',
  'e2e/operator-lifecycle.test.ts',
  'e2e/push-pull.test.ts',
];

/** Vitest's own order (what failed, then what took longer the last time) behind the files that are known to be long. */
export class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- a method of vitest's, not of an array
    const sorted = await super.sort(files);
    return sorted.toSorted((a, b) => rank(a) - rank(b));
  }
}

function rank({ moduleId }: TestSpecification): number {
  const place = LONGEST.findIndex((file) => moduleId.endsWith(`/test/${file}`));
  return place === -1 ? LONGEST.length : place;
}
