import { startVersitygw } from '../../servers/versitygw.ts';
import { s3Traits } from './s3-backend.ts';
import { describeDriver } from './suite.ts';

describeDriver('S3 on versitygw', s3Traits(startVersitygw));
