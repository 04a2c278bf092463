import { describeProtocol } from './suite.ts';

describeProtocol('on S3 (versitygw), over https, with users', {
  storage: 's3',
  access: 'secured',
  config: { manifests: { allowSparse: true } },
});
