import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { ApiClient } from '../../../src/operator/kube/client.ts';
import { KINDS } from '../../../src/operator/kube/kinds.ts';
import { LeaderElection, type LeaseTiming } from '../../../src/operator/kube/leader-election.ts';
import type { KubeObject } from '../../../src/operator/kube/types.ts';
import { systemClock } from '../../../src/shared/clock.ts';
import type { FaultProxy, Matcher } from '../../servers/fault-proxy.ts';
import { configMap, Environment, silent, until } from './environment.ts';

const TIMING: LeaseTiming = { leaseMs: 4000, renewDeadlineMs: 2500, retryMs: 150 };
/** Room for the answers that are lost, each of which takes the time limit of a request, on a machine that is busy. */
const ROOMY: LeaseTiming = { leaseMs: 9000, renewDeadlineMs: 7000, retryMs: 150 };

const isRenewal: Matcher = ({ method, path }) => method === 'PUT' && path.includes('/leases/');

let environment: Environment;
const candidates: Candidate[] = [];

beforeAll(async () => {
  environment = await Environment.start();
});

afterEach(async () => {
  for (const candidate of candidates.splice(0)) await candidate.kill();
});

afterAll(() => environment?.stop());

/** A process that wants to lead and, while it does, writes its name as fast as it can. */
class Candidate {
  readonly election: LeaderElection;
  readonly proxy: FaultProxy;
  readonly #client: ApiClient;
  readonly #identity: string;
  readonly #target: { namespace: string; name: string };
  readonly #stopped = new AbortController();
  readonly #loops: Promise<void>[] = [];
  lost = 0;

  constructor(namespace: string, identity: string, proxy: FaultProxy, timing = TIMING) {
    this.proxy = proxy;
    this.#identity = identity;
    this.#target = { namespace, name: 'written' };
    this.election = new LeaderElection({
      client: environment.client({ timeoutMs: 500 }, proxy),
      lease: { namespace, name: 'lease' },
      identity,
      timing,
      clock: systemClock,
      random: Math.random,
      logger: silent,
    });
    this.#client = environment.client({ mustHoldLease: this.election.mustHold, timeoutMs: 500 }, proxy);
    candidates.push(this);
  }

  start(): this {
    this.#loops.push(this.#lead(), this.#write());
    return this;
  }

  /** Ends as a killed process does: the lease stays. */
  async kill(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#loops);
  }

  async #lead(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const leads = await this.election.acquire(signal).then(
        () => true,
        () => false,
      );
      if (leads && (await this.election.keep(signal)) === 'lost') this.lost += 1;
    }
  }

  async #write(): Promise<void> {
    const { signal } = this.#stopped;
    const patch = { data: { writer: this.#identity } };
    while (!signal.aborted) {
      await this.#client.mergePatch(KINDS.configMap, this.#target, patch, { signal }).catch(() => undefined);
      await sleep(5);
    }
  }
}

/** Two candidates with a network of their own each; the first leads. */
async function pair(
  timing = TIMING,
): Promise<{ namespace: string; first: Candidate; second: Candidate; writers: Writers }> {
  const namespace = await environment.namespace();
  await environment.direct.create(KINDS.configMap, configMap(namespace, 'written'));
  const first = new Candidate(namespace, 'first', await environment.anotherProxy(), timing).start();
  await until('the first leads', () => first.election.holds());
  const second = new Candidate(namespace, 'second', await environment.anotherProxy(), timing).start();
  return { namespace, first, second, writers: new Writers([first, second]) };
}

/** Watches for a moment at which both may write. */
class Writers {
  readonly #timer: NodeJS.Timeout;
  together = 0;

  constructor(both: readonly Candidate[]) {
    this.#timer = setInterval(() => {
      if (both.every(({ election }) => election.holds())) this.together += 1;
    }, 1);
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.together;
  }
}

async function writer(namespace: string): Promise<unknown> {
  const written = await environment.direct.get(KINDS.configMap, { namespace, name: 'written' });
  const data = written?.['data'];
  return typeof data === 'object' && data !== null && 'writer' in data ? data.writer : undefined;
}

async function lease(namespace: string): Promise<KubeObject | undefined> {
  return environment.direct.get(KINDS.lease, { namespace, name: 'lease' });
}

describe('leader election', () => {
  test('lets one of two lead, and the lease says so', async () => {
    const { namespace, second, writers } = await pair();

    await sleep(TIMING.leaseMs + 500);

    expect(second.election.holds()).toBe(false);
    expect(writers.stop()).toBe(0);
    expect(await lease(namespace)).toMatchObject({
      spec: { holderIdentity: 'first', leaseDurationSeconds: TIMING.leaseMs / 1000, leaseTransitions: 0 },
    });
    expect(await writer(namespace)).toBe('first');
  });

  test('hands over at once when the leader releases the lease', async () => {
    const { namespace, first, second, writers } = await pair();

    await first.kill();
    await first.election.release();
    const released = performance.now();
    await until('the second leads', () => second.election.holds());

    expect(performance.now() - released).toBeLessThan(1000);
    expect(first.election.holds()).toBe(false);
    expect(writers.stop()).toBe(0);
    expect(await lease(namespace)).toMatchObject({ spec: { holderIdentity: 'second', leaseTransitions: 1 } });
  });

  test('hands over after the lease has run out when the leader is killed', async () => {
    const { first, second } = await pair();

    await first.kill();
    const killed = performance.now();
    await until('the second leads', () => second.election.holds());

    expect(performance.now() - killed).toBeGreaterThan(TIMING.leaseMs - TIMING.retryMs);
  });

  test('never lets two write when the leader is cut off from the API server', async () => {
    const { namespace, first, second, writers } = await pair();
    await until('the second watches', () => second.proxy.requests.length > 1);

    first.proxy.refuse(true);
    await until('the first has given up', () => first.lost === 1);
    expect(second.election.holds()).toBe(false);
    await until('the second leads', () => second.election.holds());
    first.proxy.refuse(false);
    await sleep(500);

    expect(first.election.holds()).toBe(false);
    expect(writers.stop()).toBe(0);
    expect(await writer(namespace)).toBe('second');
  });

  test('never lets two write when requests of the leader hang', async () => {
    const { first, second, writers } = await pair();
    await until('the second watches', () => second.proxy.requests.length > 1);

    first.proxy.inject(() => true, { type: 'hang' }, 1000);
    await until('the second leads', () => second.election.holds());

    expect(first.lost).toBe(1);
    expect(writers.stop()).toBe(0);
  });

  test('goes on leading when the answer to a renewal is lost, or the API server refuses some', async () => {
    const { namespace, first } = await pair(ROOMY);
    first.proxy.inject(isRenewal, { type: 'lose' }, 2);
    first.proxy.inject(isRenewal, { type: 'answer', status: 500 }, 2);

    await until('all that has happened', () => first.proxy.pending === 0);
    await sleep(ROOMY.renewDeadlineMs);

    expect(first.lost).toBe(0);
    expect(first.election.holds()).toBe(true);
    expect(await lease(namespace)).toMatchObject({ spec: { holderIdentity: 'first', leaseTransitions: 0 } });
  });

  test('gives up when somebody else takes the lease', async () => {
    const { namespace, first, second } = await pair();
    await second.kill();
    const spec = { holderIdentity: 'somebody', leaseDurationSeconds: 60 };

    await environment.direct.mergePatch(KINDS.lease, { namespace, name: 'lease' }, { spec });
    await until('the first has given up', () => first.lost === 1);

    expect(first.election.holds()).toBe(false);
  });
});
