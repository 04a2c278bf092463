import type { Job, JobContext, Row } from '../job.ts';
import { type Outcome, runLoad } from '../load-generator.ts';
import { NODES_AT_ONCE, STREAMS } from '../scale.ts';
import { REPOSITORIES, type SeedPart } from '../seed.ts';
import { COMPARED } from '../subjects.ts';

type Scheme = 'http' | 'https';

/** Blobs of a part, by their URLs. */
function urls({ seed, server }: JobContext, part: 'big' | 'streams'): string[] {
  const blobs = seed.blobs[part] ?? [];
  return blobs.map(({ digest }) => `${server.url}/v2/${REPOSITORIES[part]}/blobs/${digest}`);
}

interface PullKind {
  readonly name: string;
  readonly title: string;
  readonly needs: readonly SeedPart[];
  readonly load: (context: JobContext) => Promise<Outcome>;
}

const BIG: PullKind = {
  name: 'pull',
  title: 'pull 1 GiB',
  needs: ['big', 'streams'],
  load: (context) => runLoad(['pull', '-n', '2', ...urls(context, 'big')]),
};

const EIGHT: PullKind = {
  name: 'pull-streams',
  title: 'pull 8 × 128 MiB at once',
  needs: ['streams'],
  load: (context) => runLoad(['pull', '-c', String(STREAMS), '-n', '2', ...urls(context, 'streams')]),
};

const SINK: PullKind = {
  name: 'sink',
  title: 'pull 1 GiB, bound by the server',
  needs: ['big', 'streams'],
  load: ({ seed, ...context }) => {
    const size = seed.blobs.big?.[0]?.size ?? 0;
    return runLoad(['sink', '-n', '2', '-size', String(size), ...urls({ seed, ...context }, 'big')]);
  },
};

const FANOUT: PullKind = {
  name: 'fanout',
  title: '100 nodes pull ten layers of 77 MiB, 20 at a time',
  needs: ['image', 'streams'],
  load: ({ server, scale }) => {
    const nodes = ['-n', String(scale.nodes), '-c', String(NODES_AT_ONCE)];
    return runLoad(['fanout', '-base', server.url, '-repo', REPOSITORIES.image, ...nodes]);
  },
};

function pullJob({ name, title, needs, load }: PullKind, scheme: Scheme): Job {
  const id = `${name}-${scheme}`;
  const row: Row = { id, title: `${scheme} ${title}`, unit: 'MB/s', per: 'GiB' };
  return {
    id,
    rows: () => [row],
    needs,
    subjects: COMPARED,
    ...(scheme === 'https' ? { tls: 'ecdsa' } : {}),
    root: 'seed',
    stalls: true,
    run: async (context) => {
      // So that no server is measured while its first code is compiled.
      await runLoad(['pull', ...urls(context, 'streams').slice(0, 1)]);
      await context.measure(row, () => load(context));
    },
  };
}

export const PULL_JOBS: readonly Job[] = [
  ...(['http', 'https'] as const).flatMap((scheme) =>
    [BIG, EIGHT, FANOUT].map((kind) => pullJob(kind, scheme)),
  ),
  pullJob(SINK, 'https'),
];
