import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import {
  PROCESS_METRICS,
  registerProcessMetrics,
  type MetricDescription,
} from '../shared/process-metrics.ts';

const RECONCILE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const QUEUE_SECONDS = [0.001, 0.01, 0.1, 1, 10, 60, 600];

// The names of controller-runtime and client-go, so that dashboards and alerts written for them work.
const DEFINITIONS = {
  reconciles: {
    name: 'controller_runtime_reconcile_total',
    type: 'counter',
    help: 'Reconciles by result: success, error, requeue (a conflict) or requeue_after.',
    labels: ['controller', 'result'],
  },
  reconcileErrors: {
    name: 'controller_runtime_reconcile_errors_total',
    type: 'counter',
    help: 'Reconciles that failed, conflicts apart.',
    labels: ['controller'],
  },
  terminalErrors: {
    name: 'controller_runtime_terminal_reconcile_errors_total',
    type: 'counter',
    help: 'Reconciles that failed in a way that no retry can mend.',
    labels: ['controller'],
  },
  reconcileSeconds: {
    name: 'controller_runtime_reconcile_time_seconds',
    type: 'histogram',
    help: 'Duration of one reconcile.',
    labels: ['controller'],
    buckets: RECONCILE_SECONDS,
  },
  maxWorkers: {
    name: 'controller_runtime_max_concurrent_reconciles',
    type: 'gauge',
    help: 'Reconciles that may run at a time.',
    labels: ['controller'],
  },
  activeWorkers: {
    name: 'controller_runtime_active_workers',
    type: 'gauge',
    help: 'Reconciles that run now.',
    labels: ['controller'],
  },
  queueDepth: {
    name: 'workqueue_depth',
    type: 'gauge',
    help: 'Keys that wait for a worker.',
    labels: ['name'],
  },
  queueAdds: {
    name: 'workqueue_adds_total',
    type: 'counter',
    help: 'Keys that were added to the queue.',
    labels: ['name'],
  },
  queueRetries: {
    name: 'workqueue_retries_total',
    type: 'counter',
    help: 'Keys that were added again after a failure.',
    labels: ['name'],
  },
  queueSeconds: {
    name: 'workqueue_queue_duration_seconds',
    type: 'histogram',
    help: 'Time that a key waits for a worker.',
    labels: ['name'],
    buckets: QUEUE_SECONDS,
  },
  workSeconds: {
    name: 'workqueue_work_duration_seconds',
    type: 'histogram',
    help: 'Time that a worker takes for a key.',
    labels: ['name'],
    buckets: QUEUE_SECONDS,
  },
  unfinishedSeconds: {
    name: 'workqueue_unfinished_work_seconds',
    type: 'gauge',
    help: 'Age of all work in progress, added up; growth means stuck workers.',
    labels: ['name'],
  },
  longestSeconds: {
    name: 'workqueue_longest_running_processor_seconds',
    type: 'gauge',
    help: 'Age of the oldest work in progress.',
    labels: ['name'],
  },
  apiRequests: {
    name: 'rest_client_requests_total',
    type: 'counter',
    help: 'Requests to the API server by HTTP method, plural of the resource and status; code "error" when there was no answer.',
    labels: ['method', 'resource', 'code'],
  },
  apiSeconds: {
    name: 'rest_client_request_duration_seconds',
    type: 'histogram',
    help: 'Duration of requests to the API server, watches apart.',
    labels: ['method'],
    buckets: RECONCILE_SECONDS,
  },
  leader: {
    name: 'leader_election_master_status',
    type: 'gauge',
    help: '1 while this process holds the lease, else 0.',
    labels: ['name'],
  },
  watchAge: {
    name: 'registry_operator_watch_age_seconds',
    type: 'gauge',
    help: 'Time since a watch last heard from the API server; above 300 changes are being missed.',
    labels: ['resource', 'namespace'],
  },
  watchFailures: {
    name: 'registry_operator_watch_failures_total',
    type: 'counter',
    help: 'Lists and watches that ended with an error.',
    labels: ['resource'],
  },
  relists: {
    name: 'registry_operator_relists_total',
    type: 'counter',
    help: 'Complete lists that were fetched, the first one included.',
    labels: ['resource'],
  },
  droppedEvents: {
    name: 'registry_operator_dropped_events_total',
    type: 'counter',
    help: 'Kubernetes events that were not written, because of a limit or an error.',
    labels: ['reason'],
  },
  buildInfo: {
    name: 'registry_operator_build_info',
    type: 'gauge',
    help: 'Always 1; the labels tell what runs.',
    labels: ['version', 'node_version'],
  },
} as const;

/** Every metric of the operator, in the order of the documentation. */
export const OPERATOR_METRICS: readonly MetricDescription[] = [
  ...Object.values(DEFINITIONS),
  ...PROCESS_METRICS,
];

/** The metrics of one operator process. */
export type OperatorMetrics = ReturnType<typeof createOperatorMetrics>;

/** Declares every metric in a registry of its own. */
// oxlint-disable-next-line typescript/explicit-module-boundary-types -- the type is made from the definitions
export function createOperatorMetrics() {
  const registry = new Registry();
  registerProcessMetrics(registry);
  const build = builders(registry);
  return {
    registry,
    reconciles: build.counter(DEFINITIONS.reconciles),
    reconcileErrors: build.counter(DEFINITIONS.reconcileErrors),
    terminalErrors: build.counter(DEFINITIONS.terminalErrors),
    reconcileSeconds: build.histogram(DEFINITIONS.reconcileSeconds),
    maxWorkers: build.gauge(DEFINITIONS.maxWorkers),
    activeWorkers: build.gauge(DEFINITIONS.activeWorkers),
    queueDepth: build.gauge(DEFINITIONS.queueDepth),
    queueAdds: build.counter(DEFINITIONS.queueAdds),
    queueRetries: build.counter(DEFINITIONS.queueRetries),
    queueSeconds: build.histogram(DEFINITIONS.queueSeconds),
    workSeconds: build.histogram(DEFINITIONS.workSeconds),
    unfinishedSeconds: build.gauge(DEFINITIONS.unfinishedSeconds),
    longestSeconds: build.gauge(DEFINITIONS.longestSeconds),
    apiRequests: build.counter(DEFINITIONS.apiRequests),
    apiSeconds: build.histogram(DEFINITIONS.apiSeconds),
    leader: build.gauge(DEFINITIONS.leader),
    watchAge: build.gauge(DEFINITIONS.watchAge),
    watchFailures: build.counter(DEFINITIONS.watchFailures),
    relists: build.counter(DEFINITIONS.relists),
    droppedEvents: build.counter(DEFINITIONS.droppedEvents),
    buildInfo: build.gauge(DEFINITIONS.buildInfo),
  };
}

interface Definition<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
}

function builders(registry: Registry) {
  const options = <L extends string>({ name, help, labels }: Definition<L>) => ({
    name,
    help,
    labelNames: labels,
    registers: [registry],
  });
  return {
    counter: <L extends string>(definition: Definition<L>) => new Counter<L>(options(definition)),
    gauge: <L extends string>(definition: Definition<L>) => new Gauge<L>(options(definition)),
    histogram: <L extends string>(definition: Definition<L> & { readonly buckets: readonly number[] }) =>
      new Histogram<L>({ ...options(definition), buckets: [...definition.buckets] }),
  };
}
