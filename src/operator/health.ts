import type { Check } from '../shared/ops-server.ts';

/** What the health of the operator follows from. */
export interface HealthFacts {
  /** Unset without leader election. */
  readonly lease?: { readonly holds: boolean; readonly stale: boolean } | undefined;
  readonly watches: readonly WatchFacts[];
  /** 99th percentile of the event loop delay since the last look, in milliseconds. */
  readonly loopDelayMs: number;
}

export interface WatchFacts {
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly synced: boolean;
  /** Since the API server last said something. */
  readonly silentMs: number;
  /** Since the loop last did anything. */
  readonly stuckMs: number;
}

export interface HealthLimits {
  /** Above this a leader may miss its renewals: half of the renewal deadline. */
  readonly loopDelayMs: number;
  /** A loop that did nothing for so long hangs; one that retries in vain is alive. */
  readonly stuckMs: number;
}

/** Fails for what only a restart mends. An API server that is away is no such thing. */
export function liveness(facts: HealthFacts, limits: HealthLimits): Check {
  const problems = [
    ...(facts.lease?.stale === true
      ? ['the lease has run out, but this process believes that it leads']
      : []),
    ...(facts.loopDelayMs > limits.loopDelayMs
      ? ['the event loop is too slow to renew the lease in time']
      : []),
    ...facts.watches
      .filter(({ stuckMs }) => stuckMs > limits.stuckMs)
      .map((watch) => `the watch of ${nameOf(watch)} hangs`),
  ];
  return problems.length === 0 ? { ok: true, body: 'ok' } : { ok: false, body: problems.join('\n') };
}

/** Holds once every cache has been filled, whether this process leads or waits. */
export function readiness(facts: HealthFacts, verbose: boolean): Check {
  const waiting = facts.watches.filter(({ synced }) => !synced);
  const ok = waiting.length === 0;
  if (!verbose) return { ok, body: ok ? 'ok' : `not synced: ${waiting.map(nameOf).join(', ')}` };
  const watches = facts.watches.map(({ resource, namespace, synced, silentMs }) => ({
    resource,
    namespace,
    synced,
    silentSeconds: Math.round(silentMs / 1000),
  }));
  return { ok, body: { status: ok ? 'ready' : 'unready', leader: facts.lease?.holds ?? true, watches } };
}

function nameOf({ resource, namespace }: WatchFacts): string {
  return namespace === undefined ? resource : `${resource} in ${namespace}`;
}
