import { describeProtocol } from './suite.ts';

describeProtocol('in a folder, over http, without users', {
  storage: 'filesystem',
  access: 'open',
  config: { manifests: { allowSparse: true } },
});
