import { availableParallelism } from 'node:os';

import type { Job, Row } from '../job.ts';
import { REPOSITORIES } from '../seed.ts';
import { PROCESSES_GAIN, SPARE_PROCESSORS } from '../targets.ts';
import { measureRequests } from './requests.ts';

const CONNECTIONS = 64;

/** What two processes should serve in comparison with one on this machine, and why. */
export const PROCESSES_CASE =
  availableParallelism() >= SPARE_PROCESSORS
    ? { gain: PROCESSES_GAIN.spare, why: 'two processors beside those of the load generator' }
    : { gain: PROCESSES_GAIN.busy, why: 'no processor beside those of the load generator' };

const ROW: Row = {
  id: 'processes',
  title: `http GET manifest by tag, ${CONNECTIONS} connections, one process and two (${PROCESSES_CASE.why})`,
  unit: 'req/s',
  per: 'request',
};

/** One process beside two on one port. */
export const PROCESSES_JOB: Job = {
  id: ROW.id,
  rows: () => [ROW],
  needs: ['small'],
  subjects: ['ours', 'two'],
  root: 'seed',
  stalls: true,
  run: async (context) => {
    const url = `${context.server.url}/v2/${REPOSITORIES.small}/manifests/latest`;
    await measureRequests(context, ROW, { method: 'GET', url, connections: CONNECTIONS });
  },
};
