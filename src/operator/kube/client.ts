import type { Clock } from '../../shared/clock.ts';
import type { OperatorMetrics } from '../metrics.ts';
import {
  parseStatus,
  readList,
  readObject,
  retryAfterSeconds,
  withoutValues,
  type ListPage,
} from './answer.ts';
import { Discovery } from './discovery.ts';
import { ApiError, isConflict, isNotFound } from './errors.ts';
import { resourcePath, type PathOptions } from './resource-path.ts';
import { TokenBucket } from './token-bucket.ts';
import type { HttpAnswer, HttpCall, HttpStream, Transport } from './transport.ts';
import type {
  ApplyOptions,
  CallOptions,
  DeleteOptions,
  KubeClient,
  KubeObject,
  ObjectKey,
  ResourceKind,
} from './types.ts';

export interface ClientOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly metrics: OperatorMetrics;
  /** Called right before each request that changes something; throws when this process must not write. */
  readonly mustHoldLease?: () => void;
  /** Requests per second and how many may be saved up; 20 and 30 when unset. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  /** Milliseconds for one attempt of a call; 30 s when unset. */
  readonly timeoutMs?: number;
}

/** What a call is counted as; `apply`, `patch` and so on are told apart although all are PATCH. */
export type ApiVerb = 'get' | 'list' | 'watch' | 'create' | 'replace' | 'apply' | 'patch' | 'delete';

export interface ListOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly metadataOnly?: boolean | undefined;
  readonly limit?: number;
  readonly continueToken?: string | undefined;
}

export interface WatchOptions extends CallOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly metadataOnly?: boolean | undefined;
  readonly resourceVersion: string;
  /** How long the API server keeps the watch open. */
  readonly timeoutSeconds: number;
}

/** Lists and watches, for the reflector. */
export interface ListWatcher {
  list<T extends KubeObject>(kind: ResourceKind, options: ListOptions): Promise<ListPage<T>>;
  /** @returns the open stream of a watch. @throws ApiError when the API server refuses it */
  watch(kind: ResourceKind, options: WatchOptions): Promise<HttpStream>;
}

interface Call {
  readonly verb: ApiVerb;
  readonly method: HttpCall['method'];
  readonly kind: ResourceKind;
  readonly path: PathOptions;
  readonly body?: object;
  readonly contentType?: string;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

const DEFAULT_RATE = { perSecond: 20, burst: 30 };
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_ATTEMPTS = 5;
const MAX_RETRY_AFTER_SECONDS = 60;
const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json';
const METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';

/** {@link KubeClient} over {@link Transport}. */
export class ApiClient implements KubeClient, ListWatcher {
  readonly #options: ClientOptions;
  readonly #bucket: TokenBucket;
  readonly #discovery: Discovery;
  readonly #counts = new Map<string, number>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket({ ...(options.rate ?? DEFAULT_RATE), clock: options.clock });
    this.#discovery = new Discovery({
      clock: options.clock,
      fetch: (path, signal) => this.#discover(path, signal),
    });
  }

  /** How many requests were sent, by `<verb> <plural>[/<subresource>]`, such as `apply deployments`. */
  get requestCounts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  async get<T extends KubeObject>(
    kind: ResourceKind,
    key: ObjectKey,
    options?: CallOptions,
  ): Promise<T | undefined> {
    try {
      return await this.#object<T>({ verb: 'get', method: 'GET', kind, path: key, signal: options?.signal });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  create<T extends KubeObject>(kind: ResourceKind, object: KubeObject, options?: CallOptions): Promise<T> {
    const path = { namespace: object.metadata.namespace };
    return this.#object<T>({
      verb: 'create',
      method: 'POST',
      kind,
      path,
      body: object,
      signal: options?.signal,
    });
  }

  replace<T extends KubeObject>(kind: ResourceKind, object: KubeObject, options?: CallOptions): Promise<T> {
    const path = nameOf(object);
    return this.#object<T>({
      verb: 'replace',
      method: 'PUT',
      kind,
      path,
      body: object,
      signal: options?.signal,
    });
  }

  apply<T extends KubeObject>(kind: ResourceKind, object: KubeObject, options: ApplyOptions): Promise<T> {
    return this.#object<T>({
      verb: 'apply',
      method: 'PATCH',
      kind,
      path: {
        ...nameOf(object),
        subresource: options.subresource,
        query: { fieldManager: options.fieldManager, force: true },
      },
      body: object,
      // JSON is YAML, and this is the only content type that every supported version accepts.
      contentType: 'application/apply-patch+yaml',
      signal: options.signal,
    });
  }

  mergePatch<T extends KubeObject>(
    kind: ResourceKind,
    key: ObjectKey,
    patch: object,
    options?: CallOptions,
  ): Promise<T> {
    const contentType = 'application/merge-patch+json';
    const signal = options?.signal;
    return this.#object<T>({
      verb: 'patch',
      method: 'PATCH',
      kind,
      path: key,
      body: patch,
      contentType,
      signal,
    });
  }

  async delete(kind: ResourceKind, key: ObjectKey, options: DeleteOptions = {}): Promise<boolean> {
    const body = {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...(options.propagationPolicy === undefined ? {} : { propagationPolicy: options.propagationPolicy }),
      ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
    };
    try {
      await this.#send({ verb: 'delete', method: 'DELETE', kind, path: key, body, signal: options.signal });
      return true;
    } catch (error) {
      // The precondition is the only conflict of a delete: the object of that UID is gone.
      if (isNotFound(error) || (options.uid !== undefined && isConflict(error))) return false;
      throw error;
    }
  }

  serves(kind: ResourceKind, options?: CallOptions): Promise<boolean> {
    return this.#discovery.serves(kind, options?.signal);
  }

  async list<T extends KubeObject>(kind: ResourceKind, options: ListOptions): Promise<ListPage<T>> {
    const { namespace, labelSelector, fieldSelector, limit, continueToken } = options;
    try {
      const answer = await this.#send({
        verb: 'list',
        method: 'GET',
        kind,
        path: { namespace, query: { labelSelector, fieldSelector, limit, continue: continueToken } },
        ...(options.metadataOnly === true ? { accept: METADATA_LIST } : {}),
        signal: options.signal,
      });
      this.#discovery.learn(kind, true);
      return readList<T>(answer, kind);
    } catch (error) {
      if (isNotFound(error)) this.#discovery.learn(kind, false);
      throw error;
    }
  }

  async watch(kind: ResourceKind, options: WatchOptions): Promise<HttpStream> {
    const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options;
    const query = { labelSelector, fieldSelector, resourceVersion, timeoutSeconds };
    const call: HttpCall = {
      method: 'GET',
      path: resourcePath(kind, { namespace, query: { watch: true, allowWatchBookmarks: true, ...query } }),
      ...(options.metadataOnly === true ? { accept: METADATA } : {}),
      timeoutMs: this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      signal,
    };
    await this.#bucket.take(signal);
    const stream = await this.#counted({ verb: 'watch', method: 'GET', kind, path: {} }, () =>
      this.#options.transport.stream(call),
    );
    if (stream.status === 200) return stream;
    throw await refusal(stream);
  }

  async #object<T extends KubeObject>(call: Call): Promise<T> {
    return readObject<T>(await this.#send(call));
  }

  /** Sends, and sends again what the API server asked to send later. */
  async #send(call: Call): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.#attempt(call);
      if (answer.status >= 200 && answer.status < 300) return answer;
      const wait = retryAfterSeconds(answer);
      const retryable = (answer.status === 429 || answer.status === 503) && wait !== undefined;
      // An apply makes what is missing: so it is the kind that is gone, or the namespace.
      if (answer.status === 404 && call.verb === 'apply') this.#discovery.forget(call.kind);
      if (!retryable || attempt === MAX_ATTEMPTS) throw refusalOf(call, answer);
      await this.#options.clock.sleep(Math.min(wait, MAX_RETRY_AFTER_SECONDS) * 1000, call.signal);
    }
  }

  async #attempt(call: Call): Promise<HttpAnswer> {
    const { transport, mustHoldLease, timeoutMs = DEFAULT_TIMEOUT_MS } = this.#options;
    await this.#bucket.take(call.signal);
    return this.#counted(call, () =>
      transport.send({
        method: call.method,
        path: resourcePath(call.kind, call.path),
        ...(call.accept === undefined ? {} : { accept: call.accept }),
        ...(call.contentType === undefined ? {} : { contentType: call.contentType }),
        ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
        timeoutMs,
        signal: call.signal,
        beforeSend: call.method === 'GET' ? undefined : mustHoldLease,
      }),
    );
  }

  async #counted<A extends { readonly status: number }>(call: Call, send: () => Promise<A>): Promise<A> {
    const { metrics, clock } = this.#options;
    const resource = call.path.subresource
      ? `${call.kind.plural}/${call.path.subresource}`
      : call.kind.plural;
    const name = `${call.verb} ${resource}`;
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    const start = clock.monotonic();
    let code = 'error';
    try {
      const answer = await send();
      code = String(answer.status);
      return answer;
    } finally {
      metrics.apiRequests.inc({ method: call.method, resource, code });
      if (call.verb !== 'watch')
        metrics.apiSeconds.observe({ method: call.method }, (clock.monotonic() - start) / 1000);
    }
  }

  async #discover(path: string, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    await this.#bucket.take(signal);
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return this.#options.transport.send({ method: 'GET', path, timeoutMs, signal });
  }
}

/** Statuses of refusals that quote what was sent: a field that is invalid, or a body that cannot be read. */
const QUOTING = new Set([400, 422]);

/** Refusals are logged and told in conditions and events, where values of a Secret must never be. */
function refusalOf({ kind }: Call, answer: HttpAnswer): ApiError {
  const status = parseStatus(answer);
  return new ApiError(kind.kind === 'Secret' && QUOTING.has(status.status) ? withoutValues(status) : status);
}

function nameOf({ metadata }: KubeObject): ObjectKey {
  return { namespace: metadata.namespace, name: metadata.name };
}

const MAX_REFUSAL_BYTES = 64 * 1024;

async function refusal(stream: HttpStream): Promise<ApiError> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream.body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > MAX_REFUSAL_BYTES) break;
    }
  } finally {
    stream.close();
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return new ApiError(parseStatus({ status: stream.status, headers: stream.headers, text }));
}
