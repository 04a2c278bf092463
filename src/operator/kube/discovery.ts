import type { Clock } from '../../shared/clock.ts';
import { isRecord, parseObject, parseStatus } from './answer.ts';
import { ApiError, TransportError } from './errors.ts';
import { groupVersionPath } from './resource-path.ts';
import type { HttpAnswer } from './transport.ts';
import type { ResourceKind } from './types.ts';

/** How long an answer counts when nothing else has told of a change meanwhile. */
export const DISCOVERY_TTL_MS = 5 * 60_000;

export interface DiscoveryOptions {
  readonly clock: Clock;
  fetch(path: string, signal: AbortSignal | undefined): Promise<HttpAnswer>;
}

interface Known {
  readonly until: number;
  readonly served: boolean;
}

/** Remembers which kinds the API server has. */
export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** @throws ApiError or TransportError when the API server cannot say; nothing is remembered then */
  async serves(kind: ResourceKind, signal?: AbortSignal): Promise<boolean> {
    const known = this.#known.get(keyOf(kind));
    if (known && this.#options.clock.monotonic() < known.until) return known.served;
    const served = (await this.#fetch(kind.apiVersion, signal)).has(kind.plural);
    this.learn(kind, served);
    return served;
  }

  /** Takes over what a request has shown: a kind that can be listed is served, whatever was known before. */
  learn(kind: ResourceKind, served: boolean): void {
    this.#known.set(keyOf(kind), { until: this.#options.clock.monotonic() + DISCOVERY_TTL_MS, served });
  }

  /** Asks again when the kind is needed next. */
  forget(kind: ResourceKind): void {
    this.#known.delete(keyOf(kind));
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

function keyOf({ apiVersion, plural }: ResourceKind): string {
  return `${apiVersion}/${plural}`;
}
