import { asKind, isRecord, parseObject, statusOf } from './answer.ts';
import { ApiError, TransportError } from './errors.ts';
import type { HttpStream } from './transport.ts';
import type { KubeObject, ResourceKind } from './types.ts';

/** One line of a watch. A bookmark says how far the watch has come. */
export type WatchItem<T extends KubeObject> =
  | { readonly type: 'put' | 'remove'; readonly object: T; readonly resourceVersion: string }
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

/** Far above the largest object that etcd takes; beyond it the stream is not from an API server. */
const MAX_LINE_BYTES = 16 * 1024 * 1024;
const NEWLINE = 0x0a;

/**
 * Reads the events of an open watch and closes it at the end.
 *
 * @param onBytes called whenever something arrives
 * @throws ApiError for an ERROR event (status 410: list again) · TransportError for a stream that is cut or is no
 *   watch
 */
export async function* readWatch<T extends KubeObject>(
  stream: HttpStream,
  kind: ResourceKind,
  onBytes: () => void,
): AsyncGenerator<WatchItem<T>> {
  try {
    for await (const line of lines(stream.body, onBytes)) yield parseLine<T>(line, kind);
  } finally {
    stream.close();
  }
}

/**
 * Cuts a stream of bytes into lines without their newline.
 *
 * @throws TransportError when the stream ends within a line, or a line is larger than `maxBytes`
 */
export async function* lines(
  body: AsyncIterable<Buffer>,
  onBytes: () => void,
  maxBytes: number = MAX_LINE_BYTES,
): AsyncGenerator<string> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    onBytes();
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]).toString('utf8');
      parts = [];
      size = 0;
      start = end + 1;
      if (line.trim() !== '') yield line;
    }
    if (start < chunk.length) parts.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > maxBytes) throw new TransportError(`an event is larger than ${maxBytes} bytes`);
  }
  if (size > 0) throw new TransportError('the watch was cut in the middle of an event');
}

function parseLine<T extends KubeObject>(line: string, kind: ResourceKind): WatchItem<T> {
  const event = parseObject(line);
  const body = event?.['object'];
  if (!event || !isRecord(body)) throw new TransportError('the watch sent something that is no event');
  if (event['type'] === 'ERROR') throw new ApiError(statusOf(body));
  const resourceVersion = versionOf(body);
  if (event['type'] === 'BOOKMARK') return { type: 'bookmark', resourceVersion };
  const object = asKind<T>(body, kind);
  if (!object) throw new TransportError('the watch sent an object without a name');
  switch (event['type']) {
    case 'ADDED':
    case 'MODIFIED':
      return { type: 'put', object, resourceVersion };
    case 'DELETED':
      return { type: 'remove', object, resourceVersion };
    default:
      throw new TransportError('the watch sent an event of an unknown type');
  }
}

function versionOf(object: Record<string, unknown>): string {
  const version = isRecord(object['metadata']) ? object['metadata']['resourceVersion'] : undefined;
  if (typeof version !== 'string') throw new TransportError('the watch sent an object without a version');
  return version;
}
