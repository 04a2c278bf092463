import { readdir } from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';

import { Counter, Gauge, type Registry } from 'prom-client';

/** A metric as its documentation shows it. */
export interface MetricDescription {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/**
 * What every process says of itself, in the names of the Prometheus client libraries. The defaults of the
 * library are not used: several of them break the naming rules that `promtool check metrics` tests.
 */
export const PROCESS_METRICS = [
  counter('process_cpu_seconds_total', 'CPU time of user and system, in seconds.'),
  gauge('process_start_time_seconds', 'Start of the process, in seconds since 1970.'),
  gauge('process_resident_memory_bytes', 'Resident memory, in bytes.'),
  gauge('process_open_fds', 'Open file descriptors; only on Linux.'),
  gauge('nodejs_heap_size_used_bytes', 'Used heap of the JavaScript engine, in bytes.'),
  gauge('nodejs_external_memory_bytes', 'Memory of buffers outside of the heap, in bytes.'),
  gauge(
    'nodejs_eventloop_lag_p99_seconds',
    'How late the event loop ran timers since the last scrape, 99th percentile, in seconds.',
  ),
] as const satisfies readonly MetricDescription[];

type ProcessMetricName = (typeof PROCESS_METRICS)[number]['name'];

/** Adds {@link PROCESS_METRICS}; they are read when the metrics are. */
export function registerProcessMetrics(register: Registry): void {
  const readers = createReaders();
  for (const { name, help, type } of PROCESS_METRICS) {
    const read = readers[name];
    if (type === 'counter') registerCounter({ name, help, register, read });
    else registerGauge({ name, help, register, read });
  }
}

interface Registration {
  readonly name: string;
  readonly help: string;
  readonly register: Registry;
  readonly read: () => number | Promise<number>;
}

function registerCounter({ name, help, register, read }: Registration): void {
  const metric: Counter = new Counter({
    name,
    help,
    registers: [register],
    async collect() {
      const value = await read();
      metric.reset();
      metric.inc(value);
    },
  });
}

function registerGauge({ name, help, register, read }: Registration): void {
  const metric: Gauge = new Gauge({
    name,
    help,
    registers: [register],
    async collect() {
      metric.set(await read());
    },
  });
}

function createReaders(): Record<ProcessMetricName, Registration['read']> {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  return {
    process_cpu_seconds_total: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    process_start_time_seconds: () => Math.round(performance.timeOrigin / 1000),
    process_resident_memory_bytes: () => process.memoryUsage.rss(),
    process_open_fds: () => countOpenFiles(),
    nodejs_heap_size_used_bytes: () => process.memoryUsage().heapUsed,
    nodejs_external_memory_bytes: () => process.memoryUsage().external,
    nodejs_eventloop_lag_p99_seconds: () => {
      // Nanoseconds, and the resolution of the timer is part of each sample.
      const lag = Math.max(0, delay.percentile(99) / 1e9 - 0.02);
      delay.reset();
      return lag;
    },
  };
}

async function countOpenFiles(): Promise<number> {
  try {
    const entries = await readdir('/proc/self/fd');
    return entries.length;
  } catch {
    return 0;
  }
}

function counter<const N extends string>(name: N, help: string) {
  return { name, help, type: 'counter', labels: [] } as const;
}

function gauge<const N extends string>(name: N, help: string) {
  return { name, help, type: 'gauge', labels: [] } as const;
}
