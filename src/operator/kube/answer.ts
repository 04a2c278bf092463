import { TransportError, type ApiStatus } from './errors.ts';
import type { HttpAnswer } from './transport.ts';
import type { KubeObject, ResourceKind } from './types.ts';

/** One page of a list. */
export interface ListPage<T extends KubeObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Where the next page begins; unset on the last one. */
  readonly continueToken: string | undefined;
}

const MAX_QUOTED = 200;

/**
 * Reads the object of a successful answer. The members that its type adds to those of every object are the API
 * server's promise.
 *
 * @throws TransportError when it is no Kubernetes object, as when a proxy answers in place of the API server
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what a kind holds is the API server's promise
export function readObject<T extends KubeObject>({ text }: HttpAnswer): T {
  const body = parseObject(text);
  if (!isKubeObject<T>(body)) throw new TransportError('the answer is not a Kubernetes object');
  return body;
}

/** Reads one page of a list. @throws TransportError when it is none */
export function readList<T extends KubeObject>({ text }: HttpAnswer, kind: ResourceKind): ListPage<T> {
  const { metadata, items } = parseObject(text) ?? {};
  if (!isRecord(metadata) || typeof metadata['resourceVersion'] !== 'string')
    throw new TransportError('the answer is not a list');
  const token = metadata['continue'];
  return {
    items: Array.isArray(items) ? items.flatMap((item: unknown) => asKind<T>(item, kind) ?? []) : [],
    resourceVersion: metadata['resourceVersion'],
    continueToken: typeof token === 'string' && token !== '' ? token : undefined,
  };
}

/**
 * Gives an object its apiVersion and kind, which items of lists lack and which name `PartialObjectMetadata` when
 * only metadata was asked for.
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what a kind holds is the API server's promise
export function asKind<T extends KubeObject>(item: unknown, kind: ResourceKind): T | undefined {
  if (!isRecord(item)) return undefined;
  const object: unknown = { ...item, apiVersion: kind.apiVersion, kind: kind.kind };
  return isKubeObject<T>(object) ? object : undefined;
}

/** Reads why a request was refused; works for answers that are no `Status`, too. */
export function parseStatus(answer: HttpAnswer): ApiStatus {
  const body = parseObject(answer.text);
  const retryAfter = retryAfterSeconds(answer);
  if (body?.['kind'] !== 'Status') {
    const said = answer.text.slice(0, MAX_QUOTED).trim();
    const message = said === '' ? `the API server answered ${answer.status}` : said;
    return { status: answer.status, reason: '', message, retryAfter };
  }
  return { ...statusOf(body, answer.status), retryAfter: retryAfter ?? detailedRetryAfter(body['details']) };
}

/** Reads a `Status` object, be it an answer or the object of an ERROR event of a watch. */
export function statusOf(body: Readonly<Record<string, unknown>>, fallbackStatus = 500): ApiStatus {
  return {
    status: typeof body['code'] === 'number' ? body['code'] : fallbackStatus,
    reason: typeof body['reason'] === 'string' ? body['reason'] : '',
    message: typeof body['message'] === 'string' ? body['message'] : 'the API server gave no message',
    details: body['details'],
  };
}

/** What was refused and where, without the words of the API server, which quote values. */
export function withoutValues(status: ApiStatus): ApiStatus {
  const { details } = status;
  const causes = isRecord(details) && Array.isArray(details['causes']) ? details['causes'] : [];
  const kept = causes.filter(isRecord).map(({ field, reason }) => ({ field, reason }));
  const named = kept.map(({ field, reason }) => [field, reason].filter(Boolean).join(': '));
  const message = [status.reason === '' ? `status ${status.status}` : status.reason, ...named].join('; ');
  return { ...status, message, details: { causes: kept } };
}

/** The Retry-After header in seconds; undefined when there is none or it is a date. */
export function retryAfterSeconds({ headers }: Pick<HttpAnswer, 'headers'>): number | undefined {
  const value = headers['retry-after'];
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}

/** Parses a JSON object; undefined for anything else. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- what a kind holds is the API server's promise
function isKubeObject<T extends KubeObject>(value: unknown): value is T {
  if (!isRecord(value) || !isRecord(value['metadata'])) return false;
  const named = typeof value['metadata']['name'] === 'string';
  return named && typeof value['kind'] === 'string' && typeof value['apiVersion'] === 'string';
}

function detailedRetryAfter(details: unknown): number | undefined {
  const seconds = isRecord(details) ? details['retryAfterSeconds'] : undefined;
  return typeof seconds === 'number' ? seconds : undefined;
}
