import type { IncomingMessage } from 'node:http';

import type { LimitsConfig } from '../../api/registry-config.ts';
import type { ByteSource } from '../distribution/byte-source.ts';
import { DistributionError } from '../distribution/errors.ts';
import { BodyPace, type PaceFault } from './body-pace.ts';
import { ClientGone } from './exchange.ts';

/** The limits of the pace of a body. */
export type BodyLimits = Pick<LimitsConfig, 'bodyIdleSeconds' | 'minBodyBytesPerSecond'>;

/** 408: the body of a request comes too slowly. */
class BodyTooSlow extends DistributionError {
  override readonly name = 'BodyTooSlow';

  constructor(fault: PaceFault, { bodyIdleSeconds, minBodyBytesPerSecond }: BodyLimits) {
    const messages = {
      idle: `no byte of the body came for ${bodyIdleSeconds} s (limits.bodyIdleSeconds)`,
      slow: `the body came at less than ${minBodyBytesPerSecond} bytes per second (limits.minBodyBytesPerSecond)`,
    };
    super('SIZE_INVALID', { status: 408, message: messages[fault] });
  }
}

export interface PacedBodyOptions {
  readonly request: IncomingMessage;
  readonly limits: BodyLimits;
  /** Called once, before the first wait for bytes. */
  readonly onBegin: () => void;
  /** Called with the length of every chunk. */
  readonly onBytes: (bytes: number) => void;
  /** Called when the body turns out to be too slow. */
  readonly onTooSlow: () => void;
}

/**
 * The body of a request as it arrives; leaves the connection intact when the reader stops early and when the body is
 * too slow, so that an answer can still be sent.
 *
 * Node makes a buffer for every chunk that its parser finds: 64 KiB, or 16 KiB under TLS. Here it is copied to where
 * it is wanted within the event that brings it, and given back to the allocator at once. Left to the collector, these
 * buffers cost more than receiving, hashing and writing together: V8 takes 32 MiB of them for a reason to go through
 * the whole heap, and fresh memory costs page faults.
 *
 * `ready` throws BodyTooSlow and ClientGone.
 */
export class PacedBody implements ByteSource {
  readonly #options: PacedBodyOptions;
  readonly #pace: BodyPace;
  /** What has come and was not asked for yet. */
  readonly #rest: Buffer[] = [];
  /** Bytes of the first of them that were taken. */
  #taken = 0;
  #target: Uint8Array | undefined;
  #filled = 0;
  #wake: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #state: 'new' | 'open' | 'ended' | 'closed' = 'new';
  #failure: Error | undefined;

  constructor(options: PacedBodyOptions) {
    const { bodyIdleSeconds, minBodyBytesPerSecond } = options.limits;
    this.#options = options;
    this.#pace = new BodyPace({ idleMs: bodyIdleSeconds * 1000, minBytesPerSecond: minBodyBytesPerSecond });
  }

  async ready(): Promise<boolean> {
    if (this.#state === 'new') this.#begin();
    if (this.#rest.length === 0 && this.#mayCome) await this.#wait();
    if (this.#state === 'closed') return false;
    if (this.#rest.length > 0) return true;
    if (this.#failure) throw this.#failure;
    return false;
  }

  async fill(target: Uint8Array): Promise<number> {
    if (this.#state === 'new') this.#begin();
    this.#target = target;
    this.#filled = 0;
    this.#copy();
    if (this.#filled < target.length && this.#mayCome) await this.#wait();
    this.#target = undefined;
    return this.#filled;
  }

  close(): void {
    if (this.#state === 'closed') return;
    this.#detach();
    this.#state = 'closed';
    this.#rest.length = 0;
    this.#settle();
  }

  get #mayCome(): boolean {
    return this.#state === 'open' && this.#failure === undefined;
  }

  #begin(): void {
    const { request, onBegin } = this.#options;
    this.#state = 'open';
    onBegin();
    request.on('data', this.#onData);
    request.on('end', this.#onEnd);
    request.on('error', this.#onGone);
    request.on('close', this.#onGone);
    // These events have been.
    if (request.readableEnded) this.#onEnd();
    else if (request.destroyed) this.#onGone();
  }

  #detach(): void {
    const { request } = this.#options;
    if (this.#state === 'open') request.pause();
    request.off('data', this.#onData);
    request.off('end', this.#onEnd);
    request.off('error', this.#onGone);
    request.off('close', this.#onGone);
  }

  /** Waits for a chunk where there is no target, else until the target is full; or until no more bytes come. */
  #wait(): Promise<void> {
    this.#pace.wait(performance.now());
    this.#watch();
    const { request } = this.#options;
    if (request.isPaused()) request.resume();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #settle(): void {
    const wake = this.#wake;
    if (wake === undefined) return;
    this.#wake = undefined;
    clearTimeout(this.#timer);
    this.#pace.resume(performance.now());
    wake();
  }

  /** Looks at the pace when it may be time to. */
  #watch(): void {
    this.#timer = setTimeout(() => {
      const fault = this.#pace.check(performance.now());
      if (fault === undefined) {
        this.#watch();
        return;
      }
      this.#options.onTooSlow();
      this.#fail(new BodyTooSlow(fault, this.#options.limits));
    }, this.#pace.patience(performance.now()));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#settle();
  }

  /** Copies as much as the target takes. */
  #copy(): void {
    const target = this.#target;
    if (target === undefined) return;
    for (let chunk = this.#rest[0]; chunk !== undefined; chunk = this.#rest[0]) {
      // Not `set`: to shared memory it goes word by word.
      const bytes = chunk.copy(target, this.#filled, this.#taken);
      this.#filled += bytes;
      this.#taken += bytes;
      if (this.#taken < chunk.length) return;
      this.#rest.shift();
      this.#taken = 0;
      free(chunk);
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#options.onBytes(chunk.length);
    this.#pace.received(chunk.length);
    this.#rest.push(chunk);
    this.#copy();
    if (this.#wake === undefined) {
      this.#options.request.pause();
    } else if (this.#rest.length > 0 || this.#filled === this.#target?.length) {
      this.#settle();
    } else {
      const now = performance.now();
      this.#pace.resume(now);
      this.#pace.wait(now);
    }
  };

  readonly #onEnd = (): void => {
    this.#state = 'ended';
    this.#settle();
  };

  readonly #onGone = (): void => {
    if (this.#state === 'open') this.#fail(new ClientGone({ cause: this.#options.request.errored }));
  };
}

/** Gives the memory of a chunk back that nobody else uses: one that has its buffer for itself. */
function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer.byteLength === byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
