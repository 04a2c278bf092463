import { expect, test } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { createLogger } from '../../shared/logger.ts';
import { createOperatorMetrics } from '../metrics.ts';
import type { ListPage } from './answer.ts';
import type { ListWatcher } from './client.ts';
import { ApiError, TransportError } from './errors.ts';
import { KINDS } from './kinds.ts';
import { Reflector } from './reflector.ts';
import type { HttpStream } from './transport.ts';
import type { KubeObject } from './types.ts';

type Answer<A> = (signal: AbortSignal | undefined) => A | Promise<A>;

/** An API server that answers as a test says and notes when it was asked. */
class Script implements ListWatcher {
  readonly clock = new VirtualClock();
  readonly log: string[] = [];
  onList: Answer<ListPage<KubeObject>> = () => ({
    items: [],
    resourceVersion: '1',
    continueToken: undefined,
  });
  onWatch: Answer<HttpStream> = (signal) => quietWatch(signal);

  async list<T extends KubeObject>(...[, { signal }]: Parameters<ListWatcher['list']>): Promise<ListPage<T>> {
    this.#note('list');
    return (await this.onList(signal)) as ListPage<T>;
  }

  async watch(...[, { signal, resourceVersion }]: Parameters<ListWatcher['watch']>): Promise<HttpStream> {
    this.#note(`watch ${resourceVersion}`);
    return this.onWatch(signal);
  }

  #note(what: string): void {
    this.log.push(`${Math.round(this.clock.monotonic())} ${what}`);
  }
}

function stream(body: AsyncIterable<Buffer>): HttpStream {
  return { status: 200, headers: {}, body, close: () => undefined };
}

/** Nothing happens until it is aborted. */
function quietWatch(signal: AbortSignal | undefined): HttpStream {
  async function* body(): AsyncGenerator<Buffer> {
    await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    yield Buffer.alloc(0);
  }
  return stream(body());
}

function watchOf(...events: object[]): HttpStream {
  async function* body(): AsyncGenerator<Buffer> {
    for (const event of events) yield Buffer.from(`${JSON.stringify(event)}\n`);
  }
  return stream(body());
}

/** A watch that ends in the regular way when the test says so. */
function watchUntil(ended: Promise<void>): HttpStream {
  async function* body(): AsyncGenerator<Buffer> {
    await ended;
    yield Buffer.alloc(0);
  }
  return stream(body());
}

function run(
  script: Script,
  optional = false,
  onPresence?: (present: boolean) => void,
): { reflector: Reflector; stop: AbortController } {
  const reflector = new Reflector({
    client: script,
    kind: KINDS.configMap,
    optional,
    onPresence,
    onChange: () => undefined,
    clock: script.clock,
    // The longest wait of each step.
    random: () => 1,
    logger: createLogger({ level: 'silent' }),
    metrics: createOperatorMetrics(),
  });
  const stop = new AbortController();
  void reflector.run(stop.signal);
  return { reflector, stop };
}

function failing(error: Error): () => never {
  return () => {
    throw error;
  };
}

const GONE = new ApiError({ status: 410, reason: 'Expired', message: 'too old' });

test('waits from 0.8 s to 30 s between failures', async () => {
  const script = new Script();
  script.onList = failing(new TransportError('connection refused'));
  const { stop } = run(script);

  await script.clock.advance(110_000);
  stop.abort();

  const at = [0, 800, 2400, 5600, 12_000, 24_800, 50_400, 80_400];
  expect(script.log).toEqual([...at, 110_400].filter((ms) => ms <= 110_000).map((ms) => `${ms} list`));
});

test('begins the waits anew after two minutes without a failure', async () => {
  const script = new Script();
  script.onWatch = failing(new TransportError('connection refused'));
  const { stop } = run(script);
  await script.clock.advance(6000);
  script.onWatch = quietWatch;
  await script.clock.advance(130_000);
  stop.abort();

  script.log.length = 0;
  script.onWatch = failing(new TransportError('connection refused'));
  const second = run(script);
  await script.clock.advance(801);
  second.stop.abort();

  expect(script.log.map((line) => line.split(' ')[1])).toEqual(['list', 'watch', 'watch']);
});

test('lists again at once when its version is too old, and slows down when that does not help', async () => {
  const script = new Script();
  script.onWatch = failing(GONE);
  const { stop } = run(script);

  await script.clock.advance(2000);
  stop.abort();

  expect(script.log).toEqual(['0 list', '0 watch 1', '0 list', '0 watch 1', '1600 list', '1600 watch 1']);
});

test('waits as long as the API server asks it to', async () => {
  const script = new Script();
  script.onList = failing(new ApiError({ status: 429, reason: '', message: 'slow down', retryAfter: 17 }));
  const { stop } = run(script);

  await script.clock.advance(17_001);
  stop.abort();

  expect(script.log).toEqual(['0 list', '17000 list']);
});

test('opens an ended watch again from the version of its last bookmark', async () => {
  const script = new Script();
  const bookmark = { type: 'BOOKMARK', object: { metadata: { resourceVersion: '55' } } };
  script.onWatch = (signal) => {
    script.onWatch = quietWatch;
    return signal ? watchOf(bookmark) : quietWatch(signal);
  };
  const { stop } = run(script);

  await script.clock.advance(10);
  stop.abort();

  expect(script.log).toEqual(['0 list', '0 watch 1', '0 watch 55']);
});

test('does not ask in a tight loop when every watch ends at once', async () => {
  const script = new Script();
  script.onWatch = () => watchOf();
  const { stop } = run(script);

  await script.clock.advance(10_000);
  stop.abort();

  expect(script.log).toEqual(['0 list', '0 watch 1', '800 watch 1', '2400 watch 1', '5600 watch 1']);
});

test('looks for an optional kind twice a minute', async () => {
  const script = new Script();
  script.onList = failing(new ApiError({ status: 404, reason: 'NotFound', message: 'no such kind' }));
  const { reflector, stop } = run(script, true);

  await script.clock.advance(60_000);
  stop.abort();

  expect(reflector.store.hasSynced()).toBe(true);
  expect(script.log).toEqual(['0 list', '30000 list', '60000 list']);
});

test('tells when an optional kind comes and goes, but not what it finds first', async () => {
  const script = new Script();
  const installed = script.onList;
  const missing = failing(new ApiError({ status: 404, reason: 'NotFound', message: 'no such kind' }));
  script.onList = missing;
  const told: boolean[] = [];
  const { stop } = run(script, true, (present) => told.push(present));

  await script.clock.advance(30_000);
  expect(told).toEqual([]);
  script.onList = installed;
  const watched = Promise.withResolvers<void>();
  script.onWatch = () => watchUntil(watched.promise);
  await script.clock.advance(30_000);
  expect(told).toEqual([true]);
  script.onList = missing;
  script.onWatch = missing;
  watched.resolve();
  await script.clock.advance(5000);
  stop.abort();

  expect(told).toEqual([true, false]);
});

test('says since when it has heard nothing, and that it is not stuck while it tries', async () => {
  const script = new Script();
  const { reflector, stop } = run(script);
  await script.clock.advance(0);
  script.onWatch = failing(new TransportError('connection refused'));
  script.onList = failing(new TransportError('connection refused'));
  await script.clock.advance(5000);
  expect([reflector.silentMs(), reflector.stuckMs()]).toEqual([5000, 5000]);
  stop.abort();

  const failingOnly = run(script);
  await script.clock.advance(100_000);
  failingOnly.stop.abort();

  expect(failingOnly.reflector.silentMs()).toBe(100_000);
  expect(failingOnly.reflector.stuckMs()).toBeLessThan(30_001);
});
