import type { IncomingMessage } from 'node:http';

import type { LimitsConfig } from '../../api/registry-config.ts';
import { DistributionError } from '../distribution/errors.ts';
import { BodyPace, type PaceFault } from './body-pace.ts';
import { ClientGone } from './exchange.ts';

/** The limits of the pace of a body. */
export type BodyLimits = Pick<LimitsConfig, 'bodyIdleSeconds' | 'minBodyBytesPerSecond'>;

/** 408: the body of a request comes too slowly. */
export class BodyTooSlow extends DistributionError {
  override readonly name = 'BodyTooSlow';

  constructor(fault: PaceFault, { bodyIdleSeconds, minBodyBytesPerSecond }: BodyLimits) {
    const messages = {
      idle: `no byte of the body came for ${bodyIdleSeconds} s (limits.bodyIdleSeconds)`,
      slow: `the body came at less than ${minBodyBytesPerSecond} bytes per second (limits.minBodyBytesPerSecond)`,
    };
    super('SIZE_INVALID', { status: 408, message: messages[fault] });
  }
}

/**
 * The chunks of a body as they arrive. Leaves the connection intact when the reader stops early and when the body is
 * too slow, so that an answer can still be sent.
 *
 * @throws BodyTooSlow, ClientGone
 */
export async function* pacedBody(
  request: IncomingMessage,
  limits: BodyLimits,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pace = new BodyPace({
    idleMs: limits.bodyIdleSeconds * 1000,
    minBytesPerSecond: limits.minBodyBytesPerSecond,
  });
  const arrivals = new Arrivals(request);
  try {
    for (;;) {
      const chunk: Uint8Array | null = request.read();
      if (chunk !== null) {
        pace.received(chunk.length);
        yield chunk;
        continue;
      }
      if (request.readableEnded) return;
      if (request.destroyed) throw new ClientGone({ cause: request.errored });
      const fault = await faultOf(arrivals, pace);
      if (fault) throw new BodyTooSlow(fault, limits);
    }
  } finally {
    arrivals.close();
  }
}

/** Waits until something has happened. @returns what is wrong with the pace when that takes too long */
async function faultOf(arrivals: Arrivals, pace: BodyPace): Promise<PaceFault | undefined> {
  pace.wait(performance.now());
  while (!(await arrivals.next(pace.patience(performance.now())))) {
    const fault = pace.check(performance.now());
    if (fault) return fault;
  }
  pace.resume(performance.now());
  return undefined;
}

const EVENTS = ['readable', 'end', 'error', 'close'] as const;

/** What happens to a request, for one that waits. */
class Arrivals {
  readonly #request: IncomingMessage;
  #wake: ((arrived: boolean) => void) | undefined;
  #arrived = false;

  constructor(request: IncomingMessage) {
    this.#request = request;
    for (const event of EVENTS) request.on(event, this.#notice);
  }

  /** @returns false when nothing has happened for so long */
  next(milliseconds: number): Promise<boolean> {
    if (this.#arrived) {
      this.#arrived = false;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(false), milliseconds);
      this.#wake = (arrived) => {
        clearTimeout(timer);
        this.#wake = undefined;
        this.#arrived = false;
        resolve(arrived);
      };
    });
  }

  close(): void {
    for (const event of EVENTS) this.#request.off(event, this.#notice);
  }

  readonly #notice = (): void => {
    this.#arrived = true;
    this.#wake?.(true);
  };
}
