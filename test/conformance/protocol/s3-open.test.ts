import { describeProtocol } from './suite.ts';

describeProtocol('on S3 (versitygw), over http, without users', {
  storage: 's3',
  access: 'open',
  config: { manifests: { allowSparse: true } },
});
