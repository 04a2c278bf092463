import type { TestProject } from 'vitest/node';

import { startCluster } from '../cluster/cluster.ts';
import { startVersitygw } from '../servers/versitygw.ts';
import { IMAGE_ARCHIVE, installOperator, SHARED_CLUSTER } from './support/environment.ts';

/** What the set-up hands to the test files. */
export interface HostS3 {
  /** On the host's end of the link to the node. */
  readonly port: number;
  readonly accessKey: string;
  readonly secretKey: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    s3: HostS3;
  }
}

/** One cluster with the operator in it, and an S3 service beside it, for all end-to-end tests. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = performance.now();
  const report = (what: string): void => {
    console.log(`e2e: ${what} after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  };
  const cluster = await startCluster({ id: SHARED_CLUSTER });
  try {
    report('the node is ready');
    const s3 = await startVersitygw({ host: cluster.hostIP, buckets: ['registry'] });
    project.provide('s3', {
      port: Number(new URL(s3.endpoint).port),
      accessKey: s3.accessKeyId,
      secretKey: s3.secretAccessKey,
    });
    await cluster.importImage(IMAGE_ARCHIVE);
    report('the image is imported');
    await installOperator(cluster);
    report('helm has installed the operator');
    return async () => {
      await s3.stop();
      await cluster.stop();
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}
