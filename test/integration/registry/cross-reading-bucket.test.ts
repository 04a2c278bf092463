import { join } from 'node:path';

import { afterAll, beforeAll, describe } from 'vitest';

import { bucketStorage, DISTRIBUTION_3 } from '../../servers/distribution.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { testCrossReading } from './cross-reading-suite.ts';

const BUCKETS = Array.from({ length: 20 }, (_, number) => `shared-${number}`);

describe.each([
  ['at its top', undefined],
  ['below a prefix', 'some/root'],
])('a bucket shared with distribution 3 %s', (_where, prefix) => {
  let s3: S3Server;
  let used = 0;

  beforeAll(async () => {
    s3 = await startVersitygw({ buckets: BUCKETS });
  });

  afterAll(() => s3?.stop());

  testCrossReading({
    program: DISTRIBUTION_3,
    // The bytes are in a multipart upload of theirs, and no object until it is complete.
    showsUploads: false,
    async newStore(folder) {
      const bucket = BUCKETS[used++] ?? '';
      const credentialsDirectory = join(folder, bucket);
      await writeCredentials(s3, credentialsDirectory);
      const { endpoint, region } = s3;
      return {
        ours: {
          driver: 's3',
          bucket,
          endpoint,
          region,
          credentialsDirectory,
          ...(prefix === undefined ? {} : { prefix }),
        },
        theirs: bucketStorage(s3, bucket, prefix),
      };
    },
  });
});
