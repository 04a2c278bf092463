import { startVersitygw } from '../../servers/versitygw.ts';
import { s3Traits } from './s3-backend.ts';
import { describeDriver } from './suite.ts';

// Elsewhere it keeps connections open; here the driver has to live with a server that closes each.
describeDriver(
  'S3 on versitygw',
  s3Traits(() => startVersitygw({ keepAlive: false })),
);
