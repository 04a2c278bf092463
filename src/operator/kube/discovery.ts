import type { Clock } from '../../shared/clock.ts';
import { isRecord, parseObject, parseStatus } from './answer.ts';
import { ApiError, TransportError } from './errors.ts';
import { groupVersionPath } from './resource-path.ts';
import type { HttpAnswer } from './transport.ts';
import type { ResourceKind } from './types.ts';

/** How long an answer counts, so that an API that is installed later is found. */
export const DISCOVERY_TTL_MS = 5 * 60_000;

export interface DiscoveryOptions {
  readonly clock: Clock;
  fetch(path: string, signal: AbortSignal | undefined): Promise<HttpAnswer>;
}

interface Known {
  readonly until: number;
  readonly plurals: ReadonlySet<string>;
}

/** Remembers which resources the API server has, by group and version. */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** @throws ApiError or TransportError when the API server cannot say; nothing is remembered then */
  async serves({ apiVersion, plural }: ResourceKind, signal?: AbortSignal): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    const known = this.#known.get(apiVersion);
    if (known && now < known.until) return known.plurals.has(plural);
    const plurals = await this.#fetch(apiVersion, signal);
    this.#known.set(apiVersion, { until: now + DISCOVERY_TTL_MS, plurals });
    return plurals.has(plural);
  }

  async #fetch(apiVersion: string, signal: AbortSignal | undefined): Promise<ReadonlySet<string>> {
    const answer = await this.#options.fetch(groupVersionPath(apiVersion), signal);
    if (answer.status === 404) return new Set();
    if (answer.status !== 200) throw new ApiError(parseStatus(answer));
    const resources = parseObject(answer.text)?.['resources'];
    if (!Array.isArray(resources)) throw new TransportError('the answer is not a list of resources');
    return new Set(resources.map((item: unknown) => (isRecord(item) ? String(item['name']) : '')));
  }
}
