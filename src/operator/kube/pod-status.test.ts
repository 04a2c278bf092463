import { createServer, type Server } from 'node:http';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { readPodStatus } from './pod-status.ts';

const REPORT = { status: 'ready', loadedHash: 'abc', version: '1.2.3' };

let server: Server;
let port: number;
let answer: (respond: (status: number, body: string) => void) => void;

beforeEach(async () => {
  server = createServer((request, response) => {
    if (request.url !== '/readyz?verbose') response.writeHead(404).end();
    else answer((status, body) => response.writeHead(status).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  port = typeof address === 'object' && address ? address.port : 0;
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function read(pods = [{ name: 'a', ip: '127.0.0.1' }]): ReturnType<typeof readPodStatus> {
  return readPodStatus(pods, {
    fetch,
    port,
    timeoutMs: 200,
    concurrency: 2,
    signal: new AbortController().signal,
  });
}

test('reads what a pod has loaded, also when it is not ready', async () => {
  const certificate = { sha256Fingerprint: 'ff', notAfter: '2027-01-01T00:00:00.000Z' };
  const report = { ...REPORT, status: 'unready', certificate };
  answer = (respond) => respond(503, JSON.stringify({ ...report, more: 'ignored' }));

  expect(await read()).toEqual(new Map([['a', report]]));
});

test.each([
  ['something else', 'hello'],
  ['another status', JSON.stringify({ ...REPORT, status: 'great' })],
  ['no hash', JSON.stringify({ status: 'ready', version: '1' })],
  ['too much', JSON.stringify({ ...REPORT, more: 'x'.repeat(100_000) })],
])('has no report of a pod that answers %s', async (_, body) => {
  answer = (respond) => respond(200, body);

  expect(await read()).toEqual(new Map());
});

test('has no report of a pod that does not answer in time or at all', async () => {
  answer = () => undefined;

  const reports = await read([
    { name: 'slow', ip: '127.0.0.1' },
    { name: 'absent', ip: '::1' },
  ]);

  expect(reports).toEqual(new Map());
});

test('asks only so many pods at a time', async () => {
  let open = 0;
  let most = 0;
  answer = (respond) => {
    open += 1;
    most = Math.max(most, open);
    setTimeout(() => {
      open -= 1;
      respond(200, JSON.stringify(REPORT));
    }, 20);
  };
  const pods = Array.from({ length: 6 }, (_, index) => ({ name: `pod-${index}`, ip: '127.0.0.1' }));

  expect((await read(pods)).size).toBe(6);
  expect(most).toBe(2);
});

test('ends when it is aborted', async () => {
  answer = () => undefined;
  const signal = AbortSignal.abort(new Error('stop'));

  await expect(readPodStatus([{ name: 'a', ip: '127.0.0.1' }], { fetch, port, signal })).rejects.toThrow(
    'stop',
  );
});
