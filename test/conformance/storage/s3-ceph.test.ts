import { startCeph } from '../../servers/ceph.ts';
import { s3Traits } from './s3-backend.ts';
import { describeDriver } from './suite.ts';

describeDriver('S3 on Ceph', s3Traits(startCeph));
