import { Registry, type Aggregator } from 'prom-client';

/** The metrics of one process at one moment. */
export type MetricSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/**
 * How the gauges of several processes become one. Counters and histograms are added up, also those of processes that
 * have ended, so that none ever goes back.
 */
export const GAUGE_AGGREGATION: Readonly<Record<string, Aggregator>> = {
  registry_http_in_flight_requests: 'sum',
  registry_http_queued_requests: 'sum',
  /** The certificate that ends first is the one to worry about. */
  registry_tls_certificate_not_after_seconds: 'min',
  /** Of one version all. */
  registry_build_info: 'first',
  /** Told by the supervisor alone. */
  registry_processes: 'first',
  /** The start of the whole server, whatever was replaced since. */
  process_start_time_seconds: 'min',
  /** Memory that processes share is counted for each. */
  process_resident_memory_bytes: 'sum',
  process_open_fds: 'sum',
  nodejs_heap_size_used_bytes: 'sum',
  nodejs_external_memory_bytes: 'sum',
  nodejs_eventloop_lag_p99_seconds: 'max',
};

/** The metrics of all processes as those of one server. */
export function sumOf(snapshots: readonly MetricSnapshot[]): Registry {
  return Registry.aggregate(
    snapshots.map((snapshot) =>
      snapshot.map((metric) => ({ ...metric, aggregator: aggregatorOf(metric.name) })),
    ),
  );
}

/** What is left of a process that has ended: a gauge tells only of what is. */
export function lastingOf(snapshot: MetricSnapshot): MetricSnapshot {
  return snapshot.filter(({ type }) => type !== 'gauge');
}

function aggregatorOf(name: string): Aggregator {
  return GAUGE_AGGREGATION[name] ?? 'sum';
}
