import { afterAll, beforeAll, describe } from 'vitest';

import { describeBase } from './base.ts';
import { describeBlobPulls } from './blob-pulls.ts';
import { describeBlobPushes } from './blob-pushes.ts';
import { describeCatalog } from './catalog.ts';
import { describeChunkedPushes } from './chunked-pushes.ts';
import { RegistryClient } from './client.ts';
import { describeDataSets } from './data-sets.ts';
import { describeDeletes } from './deletes.ts';
import { describeErrors } from './errors.ts';
import { describeManifestPulls } from './manifest-pulls.ts';
import { describeManifestPushes } from './manifest-pushes.ts';
import { addMatchers } from './matchers.ts';
import { describeMounts } from './mounts.ts';
import { describeReferrers } from './referrers.ts';
import { describeTagLists } from './tag-lists.ts';
import { describeTagParameters } from './tag-parameters.ts';
import { type RunningVariant, startVariant, type Variant } from './variants.ts';

/**
 * The OCI distribution specification 1.1 with its unreleased part, as tests: one per sentence that binds a
 * registry, under the heading of its section. Everything that the specification leaves to choice is switched on.
 */
export function describeProtocol(name: string, variant: Variant): void {
  addMatchers();
  describe(`the registry ${name}`, () => {
    const client = new RegistryClient();
    let running: RunningVariant | undefined;

    beforeAll(async () => {
      running = await startVariant(variant);
      client.connect(running.connection);
    });

    afterAll(async () => {
      client.close();
      await running?.stop();
    });

    describeBase(client);
    describeErrors(client);
    describeManifestPulls(client);
    describeBlobPulls(client);
    describeBlobPushes(client);
    describeChunkedPushes(client);
    describeMounts(client);
    describeManifestPushes(client);
    describeTagParameters(client);
    describeReferrers(client);
    describeTagLists(client);
    describeDeletes(client);
    describeCatalog(client);
    describeDataSets(client);
  });
}
