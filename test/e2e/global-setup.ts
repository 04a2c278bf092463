import type { TestProject } from 'vitest/node';

import { startCluster } from '../cluster/cluster.ts';
import { startVersitygw } from '../servers/versitygw.ts';
import { IMAGE_ARCHIVE, installOperator, SHARED_CLUSTER } from './support/environment.ts';
import { applyExamples } from './support/examples.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Milliseconds from `kubectl apply` of all examples until the quick start was Ready, on an idle node. */
    quickStart: number;
  }
}

/** One cluster with the operator in it, and an S3 service beside it, for all end-to-end tests. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started = performance.now();
  const report = (what: string): void => {
    console.log(`e2e: ${what} after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  };
  const cluster = await startCluster({ id: SHARED_CLUSTER });
  const cleanups = [() => cluster.stop()];
  const stop = async (): Promise<void> => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  };
  try {
    report('the node is ready');
    const s3 = await startVersitygw({ host: cluster.hostIP, buckets: ['registry'] });
    cleanups.push(() => s3.stop());
    await cluster.importImage(IMAGE_ARCHIVE);
    report('the image is imported');
    await installOperator(cluster);
    report('helm has installed the operator');
    const quickStart = await applyExamples(cluster, {
      port: Number(new URL(s3.endpoint).port),
      accessKey: s3.accessKeyId,
      secretKey: s3.secretAccessKey,
    });
    project.provide('quickStart', quickStart);
    report('the quick start is ready');
    return stop;
  } catch (error) {
    await stop();
    throw error;
  }
}
