import type { Job, Row } from '../job.ts';
import { runLoad } from '../load-generator.ts';
import { STREAMS } from '../scale.ts';
import { blobArguments } from '../seed.ts';
import { COMPARED } from '../subjects.ts';

type Scheme = 'http' | 'https';
type Mode = 'put' | 'patch';

const MODES: Readonly<Record<Mode, string>> = { put: 'PUT', patch: 'PATCH as docker does' };

const AMOUNTS = {
  big: { suffix: '', title: 'push 1 GiB', part: 'push-big', streams: 1 },
  streams: { suffix: '-streams', title: 'push 8 × 64 MiB at once', part: 'push-streams', streams: STREAMS },
} as const;

function pushJob(scheme: Scheme, mode: Mode, amount: keyof typeof AMOUNTS): Job {
  const { suffix, title, part, streams } = AMOUNTS[amount];
  const id = `push-${mode}${suffix}-${scheme}`;
  const row: Row = { id, title: `${scheme} ${title}, ${MODES[mode]}`, unit: 'MB/s', per: 'GiB' };
  return {
    id,
    rows: () => [row],
    needs: [part, 'push-warm'],
    subjects: COMPARED,
    ...(scheme === 'https' ? { tls: 'ecdsa' } : {}),
    root: 'fresh',
    stalls: true,
    run: async ({ server, seed, measure }) => {
      const push = (name: 'push-warm' | typeof part, concurrency: number) =>
        runLoad([
          'push',
          ...`-base ${server.url} -repo bench/pushed -mode ${mode} -c ${concurrency}`.split(' '),
          ...blobArguments(seed.blobs[name] ?? []),
        ]);
      // So that no server is measured while its first code is compiled.
      await push('push-warm', 1);
      await measure(row, () => push(part, streams));
    },
  };
}

export const PUSH_JOBS: readonly Job[] = (['http', 'https'] as const).flatMap((scheme) =>
  (['big', 'streams'] as const).flatMap((amount) =>
    (['put', 'patch'] as const).map((mode) => pushJob(scheme, mode, amount)),
  ),
);
