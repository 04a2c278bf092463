import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { benchRows } from '../../bench/rows.ts';
import { QUICK } from '../../bench/scale.ts';

test('the benchmark measures a row on all three servers and leaves nothing behind', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bench-test-'));
  try {
    const { rows, failures } = await benchRows({
      only: ['blob-get-64'],
      servers: ['ours', 'distribution', 'docker-registry'],
      scale: { ...QUICK, requestMs: 100, warmRequests: 100 },
      profile: false,
      folder,
      say: () => undefined,
    });

    expect(failures).toEqual([]);
    expect(rows.map(({ row, quantity }) => [row.id, quantity])).toEqual([
      ['blob-get-64', 'value'],
      ['blob-get-64', 'p99'],
    ]);
    const [{ spreads, cpu, peakMiB, stallMs } = {}] = rows;
    for (const id of ['ours', 'distribution', 'docker-registry'] as const) {
      expect(spreads?.get(id)?.median).toBeGreaterThan(0);
      expect(cpu?.get(id)?.median).toBeGreaterThan(0);
      expect(peakMiB?.get(id)?.median).toBeGreaterThan(10);
    }
    expect(stallMs).toBeGreaterThanOrEqual(0);
    expect(await readdir(folder)).toEqual([]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);
