import type { Job, Row } from '../job.ts';
import { runLoad } from '../load-generator.ts';
import { LAYERS } from '../scale.ts';
import { REPOSITORIES } from '../seed.ts';
import { COMPARED } from '../subjects.ts';
import { settle, usageOf } from '../usage.ts';

const START: Row = { id: 'start', title: 'start to the first 200, with that content', unit: 'ms' };
const IDLE: Row = { id: 'idle', title: 'resident memory of an idle server', unit: 'MiB' };
const OPEN: Row = { id: 'open-streams', title: 'peak memory with 200 pulls open at once', unit: 'MiB' };

export const FOOTPRINT_JOBS: readonly Job[] = [
  {
    id: 'start',
    rows: () => [START, IDLE],
    needs: ['small', 'tags', 'repositories', 'referrers'],
    subjects: COMPARED,
    root: 'seed',
    stalls: false,
    run: async ({ server, record }) => {
      record(START, server.startMs);
      await settle(server.process.pid);
      record(IDLE, usageOf(server.process.pid).rssMiB);
    },
  },
  {
    id: OPEN.id,
    rows: () => [OPEN],
    needs: ['image'],
    subjects: COMPARED,
    root: 'seed',
    stalls: true,
    run: async ({ server, seed, scale, measure }) => {
      const blobs = `${server.url}/v2/${REPOSITORIES.image}/blobs`;
      const urls = (seed.blobs.image ?? []).map(({ digest }) => `${blobs}/${digest}`);
      const [streams, times] = [scale.openStreams, scale.openStreams / LAYERS];
      await measure(OPEN, () =>
        runLoad(['pull', '-together', '-c', String(streams), '-n', String(times), ...urls]),
      );
    },
  },
];
