import { describe, expect, test } from 'vitest';

import { isWanted, JOBS } from './bench/catalogue.ts';
import { replaceSection } from './bench/document.ts';
import { evaluate, judge, scaleOf } from './bench/evaluation.ts';
import type { Row, Sample } from './bench/job.ts';
import type { Outcome } from './bench/load-generator.ts';
import { judgeLoad, type LoadResult } from './bench/load.ts';
import { parseOptions } from './bench/options.ts';
import { groupOf, isProfiler, type ProfileNode, sharesOf, threadGroup } from './bench/profile-groups.ts';
import { type Measurements, rotated } from './bench/run.ts';
import { FULL, QUICK } from './bench/scale.ts';
import { median, spread } from './bench/statistics.ts';
import type { SubjectId } from './bench/subjects.ts';
import { renderTable } from './bench/table.ts';
import { type Target, TARGETS } from './bench/targets.ts';
import { fileSystemOf } from './bench/workspace.ts';

const ROW: Row = { id: 'pull', title: 'pull', unit: 'MB/s', per: 'GiB' };
const RATIO: Target = {
  row: 'pull',
  quantity: 'value',
  kind: 'ratio',
  bound: 'least',
  atLeast: 1.4,
  aim: 1.6,
};
const PAGE: Target = {
  row: 'page',
  quantity: 'value',
  kind: 'absolute',
  bound: 'most',
  atLeast: 1.5,
  aim: 0.5,
  scale: { row: 'page', figure: 10 },
};

function measured(
  row: string,
  values: Partial<Record<SubjectId, number[]>>,
  more: Partial<Sample> = {},
): Measurements {
  const bySubject = Object.entries(values).map(
    ([id, list]) =>
      [id as SubjectId, list.map((value): Sample => ({ value, peakMiB: 50, ...more }))] as const,
  );
  return new Map([[row, new Map(bySubject)]]);
}

function frame(id: number, functionName: string, url = '', children: number[] = []): ProfileNode {
  return { id, callFrame: { functionName, url }, children };
}

function outcome(bytes: number): Outcome {
  return { bytes, requests: 1, errors: 0, seconds: 1, rate: 1 };
}

describe('statistics', () => {
  test('the median is the middle value, or halfway between the two in the middle', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(() => median([])).toThrow('no median');
  });

  test('a spread leaves out what was not measured', () => {
    expect(spread([5, undefined, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
    expect(spread([undefined])).toBeUndefined();
  });
});

describe('a target', () => {
  test('compares the medians of ours and of distribution 3', () => {
    const measurements = measured('pull', { ours: [150, 160, 900], distribution: [100, 90, 110] });

    const [row] = evaluate([ROW], measurements, [RATIO]);

    expect(row?.ratio).toBeCloseTo(1.6);
    expect(row?.verdict).toMatchObject({ holds: true, reachesAim: true });
  });

  test('does not hold when ours is just below it', () => {
    const [row] = evaluate([ROW], measured('pull', { ours: [139], distribution: [100] }), [RATIO]);

    expect(row?.verdict).toMatchObject({ holds: false, reachesAim: false });
  });

  test('of the processor time makes a line of its own', () => {
    const measurements = measured('pull', { ours: [100], distribution: [100] }, { cpu: 0.5 });
    const target: Target = { ...RATIO, quantity: 'cpu', bound: 'most', atLeast: 0.9, aim: 0.7 };

    const rows = evaluate([ROW], measurements, [RATIO, target]);

    expect(rows.map(({ quantity, verdict }) => [quantity, verdict?.holds])).toEqual([
      ['value', false],
      ['cpu', false],
    ]);
  });

  test('in milliseconds is larger where distribution 3 is slower', () => {
    const measurements = measured('page', { ours: [2.5], distribution: [20] });

    expect(scaleOf(PAGE, measurements)).toBe(2);
    expect(judge(PAGE, 2.5, 2)).toMatchObject({ atLeast: 3, aim: 1, holds: true, reachesAim: false });
    expect(scaleOf(PAGE, new Map())).toBe(1);
  });

  test('names a row that is measured, and one by which it can be scaled', () => {
    const ids = new Set(JOBS.flatMap((job) => job.rows(FULL)).map(({ id }) => id));

    expect(
      TARGETS.flatMap(({ row, scale }) => [row, scale?.row ?? row]).filter((id) => !ids.has(id)),
    ).toEqual([]);
  });

  test('asks no less as an aim than it asks at least', () => {
    const wrong = TARGETS.filter(({ bound, atLeast, aim }) =>
      bound === 'least' ? aim < atLeast : aim > atLeast,
    );

    expect(wrong).toEqual([]);
  });
});

describe('the table', () => {
  test('shows every server, the ratio, the bounds and whether they hold', () => {
    const measurements = measured(
      'pull',
      { ours: [150, 152, 154], distribution: [100] },
      { cpu: 0.5, stallMs: 3 },
    );

    const [head, , line] = renderTable(evaluate([ROW], measurements, [RATIO])).split('\n');

    expect(head).toBe(
      '| work | ours | distribution 3 | docker-registry 2.8.2 | ratio | at least | aim | holds | CPU | peak MiB | stall ms |',
    );
    expect(line).toBe(
      '| pull, MB/s | 152 (150–154) | 100 |  | 1.52 | ≥ 1.40 | ≥ 1.60 | yes | 0.50 / 0.50 s/GiB | 50 / 50 | 3 |',
    );
  });

  test('goes between its markers and leaves the rest of the page alone', () => {
    const page = 'before\n<!-- begin rows -->\nold\n<!-- end rows -->\nafter\n';

    expect(replaceSection(page, 'rows', 'new\n')).toBe(
      'before\n<!-- begin rows -->\n\nnew\n\n<!-- end rows -->\nafter\n',
    );
    expect(() => replaceSection(page, 'load', 'new')).toThrow('no markers');
  });
});

describe('a run', () => {
  test('begins each round with another server', () => {
    expect([0, 1, 2, 3].map((round) => rotated(['a', 'b', 'c'], round)[0])).toEqual(['a', 'b', 'c', 'a']);
  });

  test('gives every row an id of its own', () => {
    const ids = JOBS.flatMap((job) => job.rows(FULL)).map(({ id }) => id);

    expect(ids).toEqual([...new Set(ids)]);
  });

  test.each([
    [[], true],
    [['manifest-get'], true],
    [['manifest-get-64'], true],
    [['manifest-'], true],
    [['manifest'], false],
    [['manifest-get-6'], false],
  ])('asked for %j, the row manifest-get-64 is measured: %s', (only, expected) => {
    const job = JOBS.find(({ id }) => id === 'manifest-get');
    const row = job?.rows(QUICK).find(({ id }) => id === 'manifest-get-64');

    expect(job && row && isWanted(job, row, only)).toBe(expected);
  });

  test('understands its options, and nothing else', () => {
    expect(parseOptions(['--only', 'a,b', '--rounds', '5'])).toMatchObject({ only: ['a', 'b'], rounds: 5 });
    expect(parseOptions(['load', '--minutes', '0.5'])).toMatchObject({ mode: 'load', minutes: 0.5 });
    expect(parseOptions([])?.servers).toEqual(['ours', 'two', 'distribution', 'docker-registry']);
    for (const args of [['--rounds', '0'], ['--rounds', '1.5'], ['--servers', 'zot'], ['walk'], ['--fast']]) {
      expect(parseOptions(args)).toBeUndefined();
    }
  });

  test('finds the file system of a folder by the longest mount point above it', () => {
    const mounts = '/dev/sda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/sdb /tmpfiles xfs rw 0 0\n';

    expect(fileSystemOf('/tmp/bench', mounts)).toBe('tmpfs');
    expect(fileSystemOf('/tmpfile/bench', mounts)).toBe('ext4');
  });
});

describe('a profile', () => {
  test('counts a native function for the file that called it, and idle time for nothing', () => {
    const groups = groupOf([
      frame(1, '(root)', '', [2, 3, 4, 5]),
      frame(2, '(idle)'),
      frame(3, 'onread', 'node:internal/stream_base_commons', [6]),
      frame(4, 'digest', 'file:///app/src/registry/distribution/digest.ts', [7]),
      frame(5, 'hook', 'file:///app/node_modules/fastify/lib/hooks.js'),
      frame(6, 'writev'),
      frame(7, 'update', 'node:internal/crypto/hash'),
    ]);

    expect([...groups].toSorted(([one], [other]) => one - other)).toEqual([
      [3, "Node's sockets, streams and HTTP"],
      [4, 'registry/distribution/digest'],
      [5, 'fastify'],
      [6, "Node's sockets, streams and HTTP"],
      [7, 'hashing and random numbers'],
    ]);
  });

  test('tells threads apart by their names', () => {
    expect(threadGroup('node-MainThread')).toBeUndefined();
    expect(threadGroup('node-V8Worker')).toContain('V8');
    expect(threadGroup('hash')).toBe('hashing threads');
    expect(threadGroup('libuv-worker')).toContain('files');
    expect(isProfiler('v8:ProfEvntProc')).toBe(true);
    expect(isProfiler('node-MainThread')).toBe(false);
    expect(threadGroup('else')).toBe('thread else');
  });

  test('divides the whole', () => {
    const shares = sharesOf(
      new Map([
        ['a', 1],
        ['b', 3],
      ]),
    );

    expect([...shares]).toEqual([
      ['a', 0.25],
      ['b', 0.75],
    ]);
  });
});

test('the load test compares bytes with distribution 3, and memory, stalls and errors with their bounds', () => {
  const common = { cpuSeconds: 1, idleMiB: 70, peakMiB: 300, restMiB: 100 };
  const results: LoadResult[] = [
    { id: 'ours', pulled: outcome(60), pushed: outcome(9), ...common, stalls: { max: 90, p99: 40 } },
    { id: 'distribution', pulled: outcome(80), pushed: outcome(20), ...common },
  ];

  expect(judgeLoad(results).map(({ measured: value, holds }) => [value, holds])).toEqual([
    ['0', true],
    ['0.69', false],
    ['300', false],
    ['40', true],
    ['30', true],
  ]);
});
