import { describeProtocol } from './suite.ts';

describeProtocol('in a folder, over https, with users', {
  storage: 'filesystem',
  access: 'secured',
  config: { manifests: { allowSparse: true } },
});
