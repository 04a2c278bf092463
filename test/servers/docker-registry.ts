import type { DistributionProgram } from './distribution.ts';

/** The registry of Debian 12, of which only the version differs from the next one. */
export const DOCKER_REGISTRY: DistributionProgram = {
  version: '2.8',
  command: 'docker-registry',
  deletesTags: false,
};
