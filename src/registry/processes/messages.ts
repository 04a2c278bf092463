import type { ServerReport } from '../server.ts';
import type { MetricSnapshot } from './metric-sums.ts';
import type { ProcessShare } from './process-share.ts';

/** What a process that serves is started with. Secrets stay in the files that the configuration names. */
export interface StartOrder {
  readonly type: 'start';
  readonly share: ProcessShare;
  /** The configuration of the start: its settings that need a restart are those of every process. */
  readonly source: {
    readonly name: string;
    /** Read again by every process; unset when the configuration cannot change. */
    readonly file?: string;
    readonly text: string;
  };
  /** Whether another process has compared the index of the catalog with the content. */
  readonly catalogCompared: boolean;
}

/** `beat` asks only whether the process gets to answer. */
export type Question = 'beat' | 'report' | 'metrics';

export type Answer = { readonly type: 'answer'; readonly id: number } & (
  | { readonly question: 'beat' }
  | { readonly question: 'report'; readonly report: ServerReport }
  | { readonly question: 'metrics'; readonly metrics: MetricSnapshot }
);

/** From the supervisor to a process that serves. */
export type Order =
  | StartOrder
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'catalog-compared' }
  | { readonly type: 'reload' }
  | { readonly type: 'stop'; readonly reason: string };

/** From a process that serves to the supervisor. */
export type Notice =
  /** Can be given orders. */
  | { readonly type: 'hello' }
  | { readonly type: 'listening'; readonly url: string }
  /** Ends, because it cannot start. */
  | { readonly type: 'failed'; readonly message: string }
  | Answer
  | { readonly type: 'catalog-compared' }
  | { readonly type: 'log-level'; readonly level: string }
  /** Its metrics as they will stay: it ends. */
  | { readonly type: 'last-metrics'; readonly metrics: MetricSnapshot };

/** Both ends are of one version; what else comes on the channel belongs to Node. */
export function isOrder(value: unknown): value is Order {
  return hasType(value, ['start', 'ask', 'catalog-compared', 'reload', 'stop']);
}

/** As {@link isOrder}. */
export function isNotice(value: unknown): value is Notice {
  const types = ['hello', 'listening', 'failed', 'answer', 'catalog-compared', 'log-level', 'last-metrics'];
  return hasType(value, types);
}

function hasType(value: unknown, types: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null || !('type' in value)) return false;
  return typeof value.type === 'string' && types.includes(value.type);
}
