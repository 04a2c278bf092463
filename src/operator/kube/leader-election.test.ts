import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { createLogger } from '../../shared/logger.ts';
import { ApiError, NotLeaderError, TransportError } from './errors.ts';
import { LeaderElection } from './leader-election.ts';
import type { KubeClient, KubeObject } from './types.ts';

const silent = createLogger({ level: 'silent' });

function refused(): never {
  throw new TypeError('leader election needs no such call');
}

/** One Lease with the API server's rules for versions. */
class LeaseServer {
  lease: KubeObject | undefined;
  reachable = true;
  #version = 0;

  client(): KubeClient {
    return {
      get: async <T extends KubeObject>() => {
        this.#check();
        return this.lease as T | undefined;
      },
      create: async <T extends KubeObject>(_: unknown, object: KubeObject) => {
        this.#check();
        if (this.lease) throw new ApiError({ status: 409, reason: 'AlreadyExists', message: 'exists' });
        return this.#store(object) as T;
      },
      replace: async <T extends KubeObject>(_: unknown, object: KubeObject) => {
        this.#check();
        if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new ApiError({ status: 409, reason: 'Conflict', message: 'changed meanwhile' });
        return this.#store(object) as T;
      },
      apply: refused,
      mergePatch: refused,
      delete: refused,
      serves: refused,
    };
  }

  get spec(): Record<string, unknown> {
    return Object.fromEntries(Object.entries(this.lease?.['spec'] ?? {}));
  }

  #check(): void {
    if (!this.reachable) throw new TransportError('no route to host');
  }

  #store(object: KubeObject): KubeObject {
    this.#version += 1;
    this.lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return this.lease;
  }
}

interface Candidate {
  readonly election: LeaderElection;
  readonly abort: AbortController;
  readonly events: string[];
}

function candidate(server: LeaseServer, clock: VirtualClock, identity: string): Candidate {
  const election = new LeaderElection({
    client: server.client(),
    lease: { namespace: 'ns', name: 'lease' },
    identity,
    clock,
    random: () => 0,
    logger: silent,
  });
  const abort = new AbortController();
  const events: string[] = [];
  const lead = async (): Promise<void> => {
    await election.acquire(abort.signal);
    events.push('leads');
    events.push(await election.keep(abort.signal));
  };
  lead().catch(() => events.push('gave up'));
  return { election, abort, events };
}

test('makes a lease and renews it', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election } = candidate(server, clock, 'a');

  await clock.advance(60_000);

  expect(election.holds()).toBe(true);
  expect(server.spec).toEqual({
    holderIdentity: 'a',
    leaseDurationSeconds: 15,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:01:00.000000Z',
    leaseTransitions: 0,
  });
});

test('takes over once the lease has not changed for its duration, whatever the clocks of others say', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const first = candidate(server, clock, 'a');
  await clock.advance(5000);
  const second = candidate(server, clock, 'b');
  // A clock that is an hour late writes times that look long expired.
  clock.jump(-3_600_000);
  await clock.advance(5000);
  expect(second.events).toEqual([]);

  first.abort.abort();
  await clock.advance(14_000);
  expect(second.events).toEqual([]);
  await clock.advance(4000);

  expect(second.events).toEqual(['leads']);
  expect(server.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
});

test('takes a released lease at its next attempt', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const first = candidate(server, clock, 'a');
  await clock.advance(3000);
  const second = candidate(server, clock, 'b');
  await clock.advance(3000);

  first.abort.abort();
  await first.election.release();
  await clock.advance(2000);

  expect(first.election.holds()).toBe(false);
  expect(second.events).toEqual(['leads']);
});

test('stops holding after the renew deadline, five seconds before another may take over', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election, events } = candidate(server, clock, 'a');
  await clock.advance(4000);
  server.reachable = false;

  await clock.advance(9999);
  expect(election.holds()).toBe(true);
  await clock.advance(1);

  expect(election.holds()).toBe(false);
  expect(() => election.mustHold()).toThrow(NotLeaderError);
  await clock.advance(2000);
  expect(events).toEqual(['leads', 'lost']);
});

test('survives an API server that is away for less than the deadline', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election, events } = candidate(server, clock, 'a');
  await clock.advance(4000);
  server.reachable = false;
  await clock.advance(8000);
  server.reachable = true;
  await clock.advance(2000);

  expect(election.holds()).toBe(true);
  expect(events).toEqual(['leads']);
});

test('makes the lease anew when somebody has deleted it', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election, events } = candidate(server, clock, 'a');
  await clock.advance(5000);

  server.lease = undefined;
  await clock.advance(5000);

  expect(server.spec).toMatchObject({ holderIdentity: 'a' });
  expect(election.holds()).toBe(true);
  expect(events).toEqual(['leads']);
});

test('finds a lease lost that somebody has deleted and another holds', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election, events } = candidate(server, clock, 'a');
  await clock.advance(5000);

  if (server.lease) server.lease = withHolder(server.lease, 'b');
  await clock.advance(2000);

  expect(election.holds()).toBe(false);
  expect(events).toEqual(['leads', 'lost']);
});

test('does not write after its event loop has stalled, and finds the lease lost', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const first = candidate(server, clock, 'a');
  await clock.advance(4000);

  clock.stall(16_000);

  expect(first.election.holds()).toBe(false);
  expect(first.election.isStale()).toBe(true);
  if (server.lease) server.lease = withHolder(server.lease, 'b');
  await clock.advance(2000);
  expect(first.events).toEqual(['leads', 'lost']);
  expect(first.election.isStale()).toBe(false);
});

test('does not write when the machine was suspended, which only the wall clock shows', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  const { election } = candidate(server, clock, 'a');
  await clock.advance(4000);

  clock.jump(20_000);
  expect(election.holds()).toBe(false);
  await clock.advance(2000);

  expect(election.holds()).toBe(true);
});

test('gives up waiting when it is aborted', async () => {
  const clock = new VirtualClock();
  const server = new LeaseServer();
  candidate(server, clock, 'a');
  await clock.advance(0);
  const second = candidate(server, clock, 'b');
  await clock.advance(0);

  second.abort.abort(new Error('stop'));
  await clock.advance(0);

  expect(second.events).toEqual(['gave up']);
});

function withHolder(lease: KubeObject, holderIdentity: string): KubeObject {
  const metadata = { ...lease.metadata, resourceVersion: 'theirs' };
  return { ...lease, metadata, spec: { holderIdentity, leaseDurationSeconds: 15 } };
}
