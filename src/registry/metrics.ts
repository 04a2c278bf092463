import { Counter, Gauge, Histogram, Registry } from 'prom-client';

import {
  PROCESS_METRICS,
  registerProcessMetrics,
  type MetricDescription,
} from '../shared/process-metrics.ts';

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** 1 KiB to 4 GiB in steps of 4. */
const BYTES = Array.from({ length: 12 }, (_, step) => 1024 * 4 ** step);

const HTTP_REQUESTS = {
  name: 'registry_http_requests_total',
  type: 'counter',
  help: 'Requests that were answered or given up by the client (code 499).',
  labels: ['handler', 'code', 'method'],
} as const;
const HTTP_DURATION = {
  name: 'registry_http_request_duration_seconds',
  type: 'histogram',
  help: 'Time from the head of a request to the end of its answer, in seconds.',
  labels: ['handler', 'method'],
} as const;
const HTTP_IN_FLIGHT = {
  name: 'registry_http_in_flight_requests',
  type: 'gauge',
  help: 'Requests that are being answered.',
  labels: ['handler'],
} as const;
const HTTP_QUEUED = {
  name: 'registry_http_queued_requests',
  type: 'gauge',
  help: 'Requests that wait for their turn: `read` for limits.read, `write` for limits.write.',
  labels: ['kind'],
} as const;
const HTTP_REFUSED = {
  name: 'registry_http_refused_requests_total',
  type: 'counter',
  help: 'Requests that were refused for a limit: `queue_full`, `queue_timeout` and `body_memory` (503), `client_running`, `client_rate`, `client_uploads` and `logins` (429), `slow_body` and `slow_head` (408), `long_head` (431).',
  labels: ['reason'],
} as const;
const HTTP_REQUEST_SIZE = {
  name: 'registry_http_request_size_bytes',
  type: 'histogram',
  help: 'Bytes of the bodies of requests.',
  labels: ['handler'],
} as const;
const HTTP_RESPONSE_SIZE = {
  name: 'registry_http_response_size_bytes',
  type: 'histogram',
  help: 'Bytes of the bodies of answers.',
  labels: ['handler'],
} as const;
const STORAGE_ACTION = {
  name: 'registry_storage_action_seconds',
  type: 'histogram',
  help: 'Duration of the calls of the storage driver, in seconds; the time of streams is not in it.',
  labels: ['driver', 'action'],
} as const;
const STORAGE_ERRORS = {
  name: 'registry_storage_errors_total',
  type: 'counter',
  help: 'Calls of the storage driver that failed, by the code of the failure.',
  labels: ['driver', 'action', 'code'],
} as const;
const CERTIFICATE_NOT_AFTER = {
  name: 'registry_tls_certificate_not_after_seconds',
  type: 'gauge',
  help: 'End of the validity of the certificate in use, in seconds since 1970.',
  labels: [],
} as const;
const RELOAD_FAILURES = {
  name: 'registry_config_reload_failures_total',
  type: 'counter',
  help: 'New values of the configuration or its files that could not be taken over, by field.',
  labels: ['field'],
} as const;
const INDEX_REPAIRS = {
  name: 'registry_index_repairs_total',
  type: 'counter',
  help: 'Entries that the comparison of the indexes with the content `added` or `removed`, and repositories whose referrers it has `rebuilt`.',
  labels: ['index', 'action'],
} as const;
const BUILD_INFO = {
  name: 'registry_build_info',
  type: 'gauge',
  help: 'Always 1; the labels tell what runs.',
  labels: ['version', 'node_version'],
} as const;
/** Of a server of several processes. */
export const PROCESSES = {
  name: 'registry_processes',
  type: 'gauge',
  help: 'Processes that serve; only of a server of several.',
  labels: [],
} as const;
/** Of a server of several processes. */
export const PROCESS_ENDS = {
  name: 'registry_process_ends_total',
  type: 'counter',
  help: 'Processes that ended before the server was told to and were replaced; only of a server of several.',
  labels: [],
} as const;

/** Every metric of the registry server; `docs/metrics.md` is generated from it. */
export const REGISTRY_METRICS: readonly MetricDescription[] = [
  HTTP_REQUESTS,
  HTTP_DURATION,
  HTTP_IN_FLIGHT,
  HTTP_QUEUED,
  HTTP_REFUSED,
  HTTP_REQUEST_SIZE,
  HTTP_RESPONSE_SIZE,
  STORAGE_ACTION,
  STORAGE_ERRORS,
  CERTIFICATE_NOT_AFTER,
  RELOAD_FAILURES,
  INDEX_REPAIRS,
  BUILD_INFO,
  PROCESSES,
  PROCESS_ENDS,
  ...PROCESS_METRICS,
];

/** The limit that a request was refused for. */
export type Refusal =
  | 'queue_full'
  | 'queue_timeout'
  | 'body_memory'
  | 'client_running'
  | 'client_rate'
  | 'client_uploads'
  | 'logins'
  | 'slow_body'
  | 'slow_head'
  | 'long_head';

/** A request that has ended. */
export interface FinishedRequest {
  /** Name of the endpoint, never text of the client: `base`, `blob`, `blob_upload`, … */
  readonly handler: string;
  readonly method: string;
  readonly status: number;
  readonly seconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** The metrics of one registry server. No label ever carries text that a client chose. */
export class RegistryMetrics {
  readonly #register = new Registry();
  readonly #requests = new Counter({ ...definition(HTTP_REQUESTS), registers: [this.#register] });
  readonly #duration = new Histogram({
    ...definition(HTTP_DURATION),
    registers: [this.#register],
    buckets: SECONDS,
  });
  readonly #inFlight = new Gauge({ ...definition(HTTP_IN_FLIGHT), registers: [this.#register] });
  readonly #queued = new Gauge({ ...definition(HTTP_QUEUED), registers: [this.#register] });
  readonly #refused = new Counter({ ...definition(HTTP_REFUSED), registers: [this.#register] });
  readonly #requestSize = new Histogram({
    ...definition(HTTP_REQUEST_SIZE),
    registers: [this.#register],
    buckets: BYTES,
  });
  readonly #responseSize = new Histogram({
    ...definition(HTTP_RESPONSE_SIZE),
    registers: [this.#register],
    buckets: BYTES,
  });
  readonly #storageAction = new Histogram({
    ...definition(STORAGE_ACTION),
    registers: [this.#register],
    buckets: SECONDS,
  });
  readonly #storageErrors = new Counter({ ...definition(STORAGE_ERRORS), registers: [this.#register] });
  readonly #notAfter = new Gauge({ ...definition(CERTIFICATE_NOT_AFTER), registers: [] });
  readonly #indexRepairs = new Counter({ ...definition(INDEX_REPAIRS), registers: [this.#register] });
  readonly #reloadFailures = new Counter({ ...definition(RELOAD_FAILURES), registers: [this.#register] });

  constructor(version: string) {
    const build = new Gauge({ ...definition(BUILD_INFO), registers: [this.#register] });
    build.set({ version, node_version: process.version }, 1);
    for (const kind of ['read', 'write'] as const) this.requestsQueued(kind, 0);
    registerProcessMetrics(this.#register);
  }

  /** So many requests more, or less, wait for their turn. */
  requestsQueued(kind: 'read' | 'write', change: number): void {
    this.#queued.inc({ kind }, change);
  }

  requestRefused(reason: Refusal): void {
    this.#refused.inc({ reason });
  }

  requestStarted(handler: string): void {
    this.#inFlight.inc({ handler });
  }

  requestFinished(request: FinishedRequest): void {
    const { handler, method } = request;
    this.#inFlight.dec({ handler });
    this.#requests.inc({ handler, method, code: String(request.status) });
    this.#duration.observe({ handler, method }, request.seconds);
    this.#requestSize.observe({ handler }, request.receivedBytes);
    this.#responseSize.observe({ handler }, request.sentBytes);
  }

  /** For the storage; an action is the name of a call as distribution spells it: `GetContent`, `Stat`, … */
  readonly storage = {
    observe: (driver: string, action: string, seconds: number): void =>
      this.#storageAction.observe({ driver, action }, seconds),
    error: (driver: string, action: string, code: string): void =>
      this.#storageErrors.inc({ driver, action, code }),
  };

  /** Shown from the first call on: a server without TLS has no such metric. */
  certificateNotAfter(date: Date): void {
    this.#notAfter.set(date.getTime() / 1000);
    if (!this.#register.getSingleMetric(CERTIFICATE_NOT_AFTER.name)) {
      this.#register.registerMetric(this.#notAfter);
    }
  }

  /** @param field path in the configuration, such as `http.tls` */
  reloadFailed(field: string): void {
    this.#reloadFailures.inc({ field });
  }

  /**
   * @param index `catalog`, `holders` or `referrers`
   * @param action `added`, `removed` or `rebuilt`
   */
  indexRepaired(index: string, action: string): void {
    this.#indexRepairs.inc({ index, action });
  }

  /** The metrics as data, to be added to those of other processes. */
  snapshot(): ReturnType<Registry['getMetricsAsJSON']> {
    return this.#register.getMetricsAsJSON();
  }

  async render(): Promise<{ contentType: string; body: string }> {
    return { contentType: this.#register.contentType, body: await this.#register.metrics() };
  }
}

function definition<const L extends string>(metric: {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly L[];
}): { name: string; help: string; labelNames: readonly L[] } {
  return { name: metric.name, help: metric.help, labelNames: metric.labels };
}
