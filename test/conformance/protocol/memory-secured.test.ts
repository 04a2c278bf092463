import { describeProtocol } from './suite.ts';

describeProtocol('in memory, over https, with users', {
  storage: 'memory',
  access: 'secured',
  config: { manifests: { allowSparse: true } },
});
