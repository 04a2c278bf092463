import { createHash } from 'node:crypto';

import type { Clock } from '../../shared/clock.ts';
import { errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { OperatorMetrics } from '../metrics.ts';
import { isNamespaceTerminating, isNotFound } from './errors.ts';
import { KINDS } from './kinds.ts';
import { microTime } from './micro-time.ts';
import { TokenBucket } from './token-bucket.ts';
import type { EventRecorder, KubeClient, KubeObject } from './types.ts';

export interface EventWriterOptions {
  readonly client: KubeClient;
  /** Name of the controller, such as `registry-operator.dev/operator`. */
  readonly reportingController: string;
  /** Name of this process, such as the pod's. */
  readonly reportingInstance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
}

type NewEvent = Parameters<EventRecorder['event']>[1];

/** An event that was written, and how often it happened. */
interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  lastAt: number;
}

/** Notes of one kind of event about one object. */
interface Similar {
  readonly notes: Set<string>;
  since: number;
}

// The limits of client-go's event correlator.
const PER_OBJECT = { perSecond: 1 / 300, burst: 25 };
const SIMILAR_LIMIT = 10;
const WINDOW_MS = 10 * 60_000;
/** Objects, series and writes that are remembered at most. */
const MAX_REMEMBERED = 4096;
const MAX_QUEUED = 256;
const MAX_NOTE = 1024;

/**
 * Writes Kubernetes events in the background, one after another. Repetitions within ten minutes count up one event
 * instead of making new ones; more than ten notes that differ only in their text become one event; an object that
 * causes too many has the rest dropped. Nothing throws: an event that cannot be written is logged and counted.
 */
export class EventWriter implements EventRecorder {
  readonly #options: EventWriterOptions;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #similar = new Map<string, Similar>();
  readonly #series = new Map<string, Series>();
  #queued = 0;
  #work: Promise<void> = Promise.resolve();

  constructor(options: EventWriterOptions) {
    this.#options = options;
  }

  event(regarding: KubeObject, event: NewEvent): void {
    if (!this.#allowed(regarding)) {
      this.#dropped('rate');
      return;
    }
    if (this.#queued >= MAX_QUEUED) {
      this.#dropped('queue');
      return;
    }
    const note = this.#aggregated(regarding, event);
    this.#queued += 1;
    this.#work = this.#work.then(() => this.#write(regarding, { ...event, note }));
  }

  /** Resolves when every event so far is written or dropped. */
  flush(): Promise<void> {
    return this.#work;
  }

  #allowed({ metadata }: KubeObject): boolean {
    const uid = metadata.uid ?? metadata.name;
    const bucket = this.#buckets.get(uid) ?? new TokenBucket({ ...PER_OBJECT, clock: this.#options.clock });
    remember(this.#buckets, uid, bucket);
    return bucket.tryTake();
  }

  /** @returns the note to write */
  #aggregated(regarding: KubeObject, event: NewEvent): string {
    const key = similarKey(regarding, event);
    const now = this.#options.clock.monotonic();
    const known = this.#similar.get(key);
    const similar = known && now - known.since < WINDOW_MS ? known : { notes: new Set<string>(), since: now };
    remember(this.#similar, key, similar);
    const note = event.note.slice(0, MAX_NOTE);
    if (similar.notes.has(note)) return note;
    if (similar.notes.size >= SIMILAR_LIMIT) return '(combined from similar events)';
    similar.notes.add(note);
    return note;
  }

  async #write(regarding: KubeObject, event: NewEvent): Promise<void> {
    try {
      await this.#writeOrCount(regarding, event);
    } catch (error) {
      this.#dropped('error');
      // Nobody is left to read it.
      if (isNamespaceTerminating(error)) return;
      this.#options.logger.warn(
        { reason: event.reason, error: errorMessage(error) },
        'an event could not be written',
      );
    } finally {
      this.#queued -= 1;
    }
  }

  async #writeOrCount(regarding: KubeObject, event: NewEvent): Promise<void> {
    const { clock } = this.#options;
    const key = `${similarKey(regarding, event)}\0${event.note}`;
    const series = this.#series.get(key);
    const now = clock.monotonic();
    if (series && now - series.lastAt < WINDOW_MS && (await this.#count(series))) {
      series.lastAt = now;
      return;
    }
    const body = this.#body(regarding, event, key);
    await this.#options.client.create(KINDS.event, body);
    const { name, namespace = 'default' } = body.metadata;
    remember(this.#series, key, { name, namespace, count: 1, lastAt: now });
  }

  /** @returns false when the event has expired meanwhile */
  async #count(series: Series): Promise<boolean> {
    const { client, clock } = this.#options;
    const count = series.count + 1;
    const patch = { series: { count, lastObservedTime: microTime(clock.now()) } };
    try {
      await client.mergePatch(KINDS.event, series, patch);
      series.count = count;
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  #body(regarding: KubeObject, event: NewEvent, key: string): KubeObject {
    const { clock, reportingController, reportingInstance } = this.#options;
    const now = microTime(clock.now());
    const { name, namespace, uid, resourceVersion } = regarding.metadata;
    const suffix = createHash('sha256')
      .update(`${key}\0${reportingInstance}\0${now}`)
      .digest('hex')
      .slice(0, 16);
    return {
      apiVersion: KINDS.event.apiVersion,
      kind: KINDS.event.kind,
      // Events of cluster-wide objects live in the namespace "default".
      metadata: { name: `${name}.${suffix}`, namespace: namespace ?? 'default' },
      eventTime: now,
      reportingController,
      reportingInstance,
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
      ...event,
    };
  }

  #dropped(reason: 'rate' | 'queue' | 'error'): void {
    this.#options.metrics.droppedEvents.inc({ reason });
  }
}

function similarKey({ metadata }: KubeObject, { type, reason, action }: NewEvent): string {
  return [metadata.uid ?? metadata.name, type, reason, action].join('\0');
}

/** Puts an entry at the end and drops the oldest beyond the limit. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > MAX_REMEMBERED && oldest.done !== true) map.delete(oldest.value);
}
