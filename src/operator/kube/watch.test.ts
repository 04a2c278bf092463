import { array, assert, asyncProperty, integer, string } from 'fast-check';
import { expect, test } from 'vitest';

import { ApiError, isExpired, TransportError } from './errors.ts';
import { KINDS } from './kinds.ts';
import type { HttpStream } from './transport.ts';
import { lines, readWatch } from './watch.ts';

async function* chunks(...parts: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function ignore(): void {
  // These tests do not measure silence.
}

test('cuts a stream into lines wherever its chunks end', async () => {
  const line = string({ unit: 'grapheme', minLength: 1 }).filter(
    (text) => text.trim() !== '' && !text.includes('\n'),
  );
  const property = asyncProperty(array(line), integer({ min: 1, max: 9 }), async (texts, size) => {
    const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(''));
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    );

    expect(await collect(lines(chunks(...parts), ignore))).toEqual(texts);
  });

  await assert(property);
});

test('refuses a stream that ends within a line', async () => {
  await expect(collect(lines(chunks('{"a":1}\n{"b"'), ignore))).rejects.toBeInstanceOf(TransportError);
});

test('refuses a line without end', async () => {
  await expect(collect(lines(chunks('12345', '67890', '1'), ignore, 10))).rejects.toThrow(
    'larger than 10 bytes',
  );
});

test('says whenever something arrives', async () => {
  let heard = 0;

  await collect(
    lines(chunks('a', 'b', '\n'), () => {
      heard += 1;
    }),
  );

  expect(heard).toBe(3);
});

function stream(...events: object[]): HttpStream & { readonly closed: () => number } {
  let closed = 0;
  return {
    status: 200,
    headers: {},
    body: chunks(events.map((event) => `${JSON.stringify(event)}\n`).join('')),
    close: () => {
      closed += 1;
    },
    closed: () => closed,
  };
}

const METADATA = { name: 'a', resourceVersion: '7' };

test('reads events and bookmarks, gives objects their kind and closes the stream', async () => {
  const source = stream(
    {
      type: 'ADDED',
      object: { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata', metadata: METADATA },
    },
    { type: 'DELETED', object: { metadata: METADATA } },
    { type: 'BOOKMARK', object: { kind: 'ConfigMap', metadata: { resourceVersion: '9' } } },
  );

  const items = await collect(readWatch(source, KINDS.configMap, ignore));

  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: METADATA };
  expect(items).toEqual([
    { type: 'put', object, resourceVersion: '7' },
    { type: 'remove', object, resourceVersion: '7' },
    { type: 'bookmark', resourceVersion: '9' },
  ]);
  expect(source.closed()).toBe(1);
});

test('throws an ERROR event, a version that is too old in particular', async () => {
  const status = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };

  const error = await collect(
    readWatch(stream({ type: 'ERROR', object: status }), KINDS.configMap, ignore),
  ).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(ApiError);
  expect(isExpired(error)).toBe(true);
});

test.each([
  ['an event of an unknown type', { type: 'MOVED', object: { metadata: METADATA } }],
  ['an object without a version', { type: 'ADDED', object: { metadata: { name: 'a' } } }],
  ['an object without a name', { type: 'ADDED', object: { metadata: { resourceVersion: '1' } } }],
  ['something else', { hello: 'world' }],
])('refuses %s', async (_, event) => {
  await expect(collect(readWatch(stream(event), KINDS.configMap, ignore))).rejects.toBeInstanceOf(
    TransportError,
  );
});
