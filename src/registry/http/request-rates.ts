/** How fast a client may go. */
export interface RateLimit {
  readonly perSecond: number;
  /** Requests that may come at once. */
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  /** Milliseconds on the monotonic clock. */
  filledAt: number;
}

/** Clients that are remembered. One that is forgotten starts with a full bucket. */
const MAX_CLIENTS = 50_000;
/** Buckets that are looked at with every request whether they are full, which is like never having come. */
const SWEEP = 2;

/** A token bucket for every client: `burst` tokens, and `perSecond` new ones each second. */
export class RequestRates {
  readonly #maxClients: number;
  /** The ones that came last are at the end. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(maxClients = MAX_CLIENTS) {
    this.#maxClients = maxClients;
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Counts a request.
   *
   * @param now milliseconds on the monotonic clock
   * @returns 0 when it may go on, else the seconds after which one more may
   */
  take(client: string, limit: RateLimit, now: number): number {
    this.#sweep(limit, now);
    const bucket = this.#buckets.get(client) ?? { tokens: limit.burst, filledAt: now };
    this.#buckets.delete(client);
    this.#buckets.set(client, bucket);
    bucket.tokens = tokensAt(bucket, limit, now);
    bucket.filledAt = now;
    if (bucket.tokens < 1) return (1 - bucket.tokens) / limit.perSecond;
    bucket.tokens -= 1;
    return 0;
  }

  /** Forgets who came longest ago: always beyond the bound, else only where it makes no difference. */
  #sweep(limit: RateLimit, now: number): void {
    let looked = 0;
    for (const [client, bucket] of this.#buckets) {
      const full = tokensAt(bucket, limit, now) >= limit.burst;
      if (looked++ >= SWEEP || (!full && this.#buckets.size < this.#maxClients)) return;
      this.#buckets.delete(client);
    }
  }
}

function tokensAt({ tokens, filledAt }: Bucket, { perSecond, burst }: RateLimit, now: number): number {
  return Math.min(burst, tokens + ((now - filledAt) / 1000) * perSecond);
}
