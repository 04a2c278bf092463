import { expect, test } from 'vitest';

import { readPodStatus, type PodAddress } from './pod-status.ts';

const REPORT = { status: 'ready', loadedHash: 'abc', version: '1.2.3' };
const POD: PodAddress = { name: 'a', ip: '10.0.0.1' };

type Answer = (url: string, init: RequestInit) => Promise<Response>;

function read(answer: Answer, pods: readonly PodAddress[] = [POD]): ReturnType<typeof readPodStatus> {
  return readPodStatus(pods, {
    fetch: (url, init) => answer(typeof url === 'string' ? url : '', init ?? {}),
    timeoutMs: 50,
    concurrency: 2,
    signal: new AbortController().signal,
  });
}

/** Answers nothing until it is aborted. */
function silence(_url: string, { signal }: RequestInit): Promise<Response> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason));
  });
}

test('reads what a pod has loaded, also when it is not ready', async () => {
  const certificate = { sha256Fingerprint: 'ff', notAfter: '2027-01-01T00:00:00.000Z' };
  const report = { ...REPORT, status: 'unready', certificate };
  const body = JSON.stringify({ ...report, more: 'ignored' });

  const reports = await read(async () => new Response(body, { status: 503 }));

  expect(reports).toEqual(new Map([['a', report]]));
});

test('asks the ops port of the pod, IPv6 in brackets, and follows nobody elsewhere', async () => {
  const asked: [string, RequestInit['redirect']][] = [];
  const pods = [POD, { name: 'b', ip: 'fd00::1' }];

  await read(async (url, { redirect }) => {
    asked.push([url, redirect]);
    return Response.json(REPORT);
  }, pods);

  expect(asked).toEqual([
    ['http://10.0.0.1:9090/readyz?verbose', 'error'],
    ['http://[fd00::1]:9090/readyz?verbose', 'error'],
  ]);
});

test.each([
  ['something else', 'hello'],
  ['another status', JSON.stringify({ ...REPORT, status: 'great' })],
  ['no hash', JSON.stringify({ status: 'ready', version: '1' })],
  ['too much', JSON.stringify({ ...REPORT, more: 'x'.repeat(100_000) })],
])('has no report of a pod that answers %s', async (_, body) => {
  expect(await read(async () => new Response(body))).toEqual(new Map());
});

test('has no report of a pod that does not answer in time or refuses', async () => {
  expect(await read(silence)).toEqual(new Map());
  expect(await read(() => Promise.reject(new TypeError('fetch failed')))).toEqual(new Map());
});

test('asks only so many pods at a time', async () => {
  let open = 0;
  let most = 0;
  const answer = async (): Promise<Response> => {
    open += 1;
    most = Math.max(most, open);
    await new Promise((resolve) => setImmediate(resolve));
    open -= 1;
    return Response.json(REPORT);
  };
  const pods = Array.from({ length: 6 }, (_, index) => ({ name: `pod-${index}`, ip: '10.0.0.1' }));

  expect((await read(answer, pods)).size).toBe(6);
  expect(most).toBe(2);
});

test('ends when it is aborted', async () => {
  const signal = AbortSignal.abort(new Error('stop'));

  await expect(
    readPodStatus([POD], { fetch: (_url, init) => silence('', init ?? {}), signal }),
  ).rejects.toThrow('stop');
});
