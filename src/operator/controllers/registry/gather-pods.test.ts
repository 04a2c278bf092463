import { describe, expect, it } from 'vitest';

import type { KubeObject } from '../../kube/types.ts';
import { gatherPods } from './gather-pods.ts';

const signal = new AbortController().signal;

function pod(name: string, status: object = {}, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'apps', ...metadata }, status };
}

function answering(loadedHash: string): typeof globalThis.fetch {
  return async () => Response.json({ status: 'ready', loadedHash, version: '1.2.3' });
}

describe('gatherPods', () => {
  it('asks pods that have an address and sorts them by age', async () => {
    const reachable = { podIP: '10.0.0.1' };
    const pods = [
      pod('young', {}, { creationTimestamp: '2026-01-02T00:00:00Z' }),
      pod('old', reachable, { creationTimestamp: '2026-01-01T00:00:00Z' }),
    ];

    const facts = await gatherPods(pods, { fetch: answering('abc'), signal });

    expect(facts).toEqual([
      { name: 'old', loadedHash: 'abc', version: '1.2.3', problem: undefined },
      { name: 'young', loadedHash: undefined, version: undefined, problem: undefined },
    ]);
  });

  it.each([
    ['is being deleted', pod('a', {}, { deletionTimestamp: 'now' })],
    ['was evicted', pod('a', { phase: 'Failed' })],
  ])('leaves out a pod that %s', async (_, object) => {
    expect(await gatherPods([object], { fetch: answering('abc'), signal })).toEqual([]);
  });

  it.each([
    [
      'a starting container',
      { containerStatuses: [{ state: { waiting: { reason: 'ContainerCreating' } } }] },
      undefined,
    ],
    ['a running container', { containerStatuses: [{ state: { running: {} } }] }, undefined],
    [
      'a crash',
      { containerStatuses: [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }] },
      'CrashLoopBackOff',
    ],
    [
      'no node',
      {
        conditions: [
          { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' },
        ],
      },
      'Unschedulable: 0/1 nodes',
    ],
  ])('tells of %s', async (_, status, problem) => {
    const [facts] = await gatherPods([pod('a', status)], { fetch: answering('abc'), signal });

    expect(facts?.problem).toBe(problem);
  });
});
