import { describeProtocol } from './suite.ts';

describeProtocol('in memory, over http, without users', {
  storage: 'memory',
  access: 'open',
  config: { manifests: { allowSparse: true } },
});
