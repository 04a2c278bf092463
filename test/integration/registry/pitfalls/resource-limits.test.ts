/**
 * Clients that take too much: numbers, bodies, sessions, connections, names. Advisories: CVE-2017-11468,
 * CVE-2023-2253 (GHSA-hqxw-f8mx-cpmw), zot's bodies without a bound (2026-04).
 */
import { randomBytes, randomUUID } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { MANIFEST_TYPE, sha256 } from '../content.ts';
import { RawConnection } from '../raw-http.ts';
import {
  codeOf,
  pushBlob,
  pushImage,
  putManifest,
  refusalOf,
  startPitfallServer,
  startUpload,
  type LogLine,
  type PitfallServer,
} from './server.ts';

const MIB = 1 << 20;
const MAX_MANIFEST = 4 * MIB;
const MAX_SESSIONS = 40;
/** Another address of the loopback interface, and so another client. */
const OTHER_CLIENT = '127.0.0.3';

let server: PitfallServer;

beforeAll(async () => {
  server = await startPitfallServer({
    http: { bufferBytes: 8 * MIB },
    limits: { perClient: { maxOpenUploads: MAX_SESSIONS }, bodyIdleSeconds: 2, minBodyBytesPerSecond: 100 },
  });
  await pushBlob(server, 'limits', '{}');
  for (const tag of ['a', 'b', 'c']) await pushImage(server, 'limits', tag);
});
afterAll(() => server.stop());

function memory(): Promise<number> {
  return server.metric('process_resident_memory_bytes');
}

/** How many bytes more the process has after the work than before it. */
async function growthBy(work: () => Promise<void>): Promise<number> {
  const before = await memory();
  await work();
  return (await memory()) - before;
}

/** A manifest of exactly so many bytes. */
function manifestOfSize(size: number): string {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
  const document = { schemaVersion: 2, mediaType: MANIFEST_TYPE, config, layers: [], annotations: { x: '' } };
  return JSON.stringify({
    ...document,
    annotations: { x: 'y'.repeat(size - JSON.stringify(document).length) },
  });
}

describe('CVE-2017-11468: a manifest', () => {
  it('of 4 MiB is taken, and one of a byte more is not', async () => {
    expect(
      (await putManifest(server, '/v2/limits/manifests/long', manifestOfSize(MAX_MANIFEST))).status,
    ).toBe(201);
    const answer = await putManifest(server, '/v2/limits/manifests/longer', manifestOfSize(MAX_MANIFEST + 1));

    expect(refusalOf(answer)).toBe('413 MANIFEST_INVALID');
    expect(answer.body.toString()).toContain(String(MAX_MANIFEST));
  });

  it('of a terabyte is refused by its head alone', async () => {
    const connection = await server.connect();
    connection.write(
      `PUT /v2/limits/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: ${MANIFEST_TYPE}\r\nContent-Length: 1000000000000\r\n\r\n`,
    );

    expect(refusalOf(await connection.answer('PUT'))).toBe('413 MANIFEST_INVALID');
  });

  it('without a length, and without an end, is refused at the limit, and many at once cost little memory', async () => {
    const chunk = Buffer.from(`10000\r\n${'x'.repeat(0x10000)}\r\n`);
    const growth = await growthBy(async () => {
      const answers = await Promise.all(
        Array.from({ length: 10 }, async () => {
          const connection = await server.connect();
          connection.write(
            `PUT /v2/limits/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: ${MANIFEST_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n`,
          );
          for (let sent = 0; sent < 72; sent += 1) await connection.send(chunk);
          return refusalOf(await connection.answer('PUT'));
        }),
      );
      // Those for which there is no memory at that moment do not get so far.
      expect(answers).toContain('413 MANIFEST_INVALID');
      expect(['413 MANIFEST_INVALID', '503 UNAVAILABLE']).toEqual(expect.arrayContaining(answers));
    });

    expect(growth).toBeLessThan(150 * MIB);
  });
});

describe('CVE-2023-2253: the number of entries', () => {
  const NUMBERS = [
    '0',
    '1',
    '1000',
    '1001',
    '2147483647',
    '2147483648',
    '4294967296',
    '9007199254740993',
    '9223372036854775807',
    '9223372036854775808',
    '18446744073709551616',
    '1000000000',
    '9'.repeat(40),
    '000000001',
  ];
  const NONSENSE = [
    '-1',
    '-2147483648',
    '1e9',
    'abc',
    '%20',
    '%205',
    '5%20',
    '5.0',
    '0x10',
    'NaN',
    'Infinity',
    '%d9%a1',
    '+5',
    '1_000',
    '9'.repeat(41),
    '9'.repeat(7000),
    '%00',
    '1,2',
  ];
  const LISTS = ['/v2/_catalog', '/v2/limits/tags/list', `/v2/limits/referrers/${sha256('{}')}`];

  test.each(LISTS)('of %s is never more than there are, and costs no memory', async (list) => {
    const growth = await growthBy(async () => {
      for (const n of NUMBERS) {
        const answer = await server.call(`${list}?n=${n}`);
        expect([n, answer.status, answer.body.length < 10_000]).toEqual([n, 200, true]);
      }
    });

    expect(growth).toBeLessThan(64 * MIB);
  });

  test.each(LISTS.slice(0, 2))('of %s that is none is refused', async (list) => {
    for (const n of NONSENSE) {
      const answer = await server.call(`${list}?n=${n}`);
      expect([n, refusalOf(answer)]).toEqual([n, '400 PAGINATION_NUMBER_INVALID']);
      expect(answer.body.length).toBeLessThan(500);
    }
  });

  it('of referrers that is none does not matter, or is refused', async () => {
    for (const n of NONSENSE) {
      expect([200, 400]).toContain((await server.call(`${LISTS[2]}?n=${n}`)).status);
    }
  });

  test.each(LISTS.slice(0, 2))('of %s goes with any text as the last entry', async (list) => {
    for (const last of [
      '%00',
      '../../etc',
      '~',
      '%f0%9f%98%80',
      '%ff',
      'A'.repeat(7000),
      '%2f%2f',
      '__proto__',
      'a&last=b',
    ]) {
      expect([last, (await server.call(`${list}?n=5&last=${last}`)).status]).toEqual([last, 200]);
    }
  });
});

describe('bodies where none belongs (zot 2026-04)', () => {
  test.each([
    ['GET', '/v2/limits/manifests/a', 200],
    ['GET', '/v2/_catalog', 200],
    ['HEAD', '/v2/limits/manifests/a', 200],
    ['DELETE', '/v2/limits/manifests/nothing', 404],
    ['POST', '/v2/limits/manifests/a', 405],
    ['GET', '/nowhere', 404],
  ])('%s %s is answered, and what follows is not collected', async (method, target, status) => {
    const growth = await growthBy(async () => {
      const connection = await server.connect();
      connection.write(`${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
      for (let sent = 0; sent < 64 && !connection.ended; sent += 1) {
        await Promise.race([
          connection.send(Buffer.alloc(MIB)),
          connection.closed(5000).catch(() => undefined),
        ]);
      }
      expect((await connection.answer(method))?.status).toBe(status);
    });

    expect(growth).toBeLessThan(100 * MIB);
  });
});

describe('slow clients', () => {
  it('that send a body drop by drop are cut off, and others do not notice', async () => {
    const sessions = await Promise.all(Array.from({ length: 30 }, () => startUpload(server, 'slow')));
    const connections = await Promise.all(sessions.map(() => server.connect()));
    for (const [index, connection] of connections.entries()) {
      connection.write(`PATCH ${sessions[index]} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`);
    }
    const drops = setInterval(() => connections.forEach((connection) => connection.write('x')), 200);
    try {
      expect((await server.call('/v2/limits/manifests/a')).status).toBe(200);
      await pushBlob(server, 'slow', 'others go on');
      await Promise.all(connections.map((connection) => connection.closed(30_000)));
    } finally {
      clearInterval(drops);
    }
    for (const session of sessions)
      expect((await server.call(session, { method: 'DELETE' })).status).toBe(204);
  }, 60_000);

  it('that stop in the middle of a manifest are cut off', async () => {
    const connection = await server.connect();
    connection.write(
      `PUT /v2/limits/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: ${MANIFEST_TYPE}\r\nContent-Length: 1000\r\n\r\n{`,
    );

    await connection.closed(20_000);
    expect((await server.call('/v2/limits/manifests/x')).status).toBe(404);
  });

  it('that do not read what they have asked for are cut off, and hold no more memory than the buffers', async () => {
    const bytes = randomBytes(16 * MIB);
    const digest = await pushBlob(server, 'slow', bytes);
    const growth = await growthBy(async () => {
      const connections = await Promise.all(Array.from({ length: 30 }, () => server.connect()));
      for (const connection of connections) {
        connection.pause();
        connection.write(`GET /v2/slow/blobs/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`);
      }
      const pulled = await server.call(`/v2/slow/blobs/${digest}`);
      expect(pulled.body.equals(bytes)).toBe(true);
      await vi.waitFor(
        async () => expect(await server.metric('registry_http_in_flight_requests{handler="blob"}')).toBe(0),
        {
          timeout: 30_000,
          interval: 200,
        },
      );
      for (const connection of connections) connection.destroy();
    });

    expect(growth).toBeLessThan(150 * MIB);
  }, 60_000);
});

describe('open sessions', () => {
  it('of one client have a bound that is told, and others have their own', async () => {
    const opened: string[] = [];
    let refused = await server.call('/v2/sessions/blobs/uploads/', { method: 'POST' });
    for (let count = 0; count < 2 * MAX_SESSIONS && refused.status === 202; count += 1) {
      opened.push(String(refused.headers.location));
      refused = await server.call('/v2/sessions/blobs/uploads/', { method: 'POST' });
    }
    const other = await RawConnection.open(server.port, '127.0.0.1', OTHER_CLIENT);
    other.write('POST /v2/sessions/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    const answer = await other.answer('POST');
    other.destroy();

    expect(refusalOf(refused)).toBe('429 TOOMANYREQUESTS');
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.body.toString()).toContain('limits.perClient.maxOpenUploads');
    expect(opened.length).toBeLessThanOrEqual(MAX_SESSIONS);
    expect(answer?.status).toBe(202);
    for (const location of opened)
      expect((await server.call(location, { method: 'DELETE' })).status).toBe(204);
    await startUpload(server, 'sessions');
  });
});

describe('connections', () => {
  it('that say nothing do not keep others away', async () => {
    const idle = await Promise.all(Array.from({ length: 800 }, () => server.connect()));

    expect((await server.call('/v2/limits/manifests/a')).status).toBe(200);
    for (const connection of idle) connection.destroy();
  });

  it('that are reset at once leave nothing', async () => {
    for (let round = 0; round < 20; round += 1) {
      const burst = await Promise.all(Array.from({ length: 25 }, () => server.connect()));
      for (const [index, connection] of burst.entries()) {
        if (index % 2 === 0) connection.write(`GET /v2/limits/manifests/a HTTP/1.1\r\nHost: x\r\n\r\n`);
        connection.reset();
      }
    }

    expect((await server.call('/v2/')).status).toBe(200);
  });

  it.each([
    [17, 17],
    [500, 0],
  ])('that ask for %i things at once get at least %i of them, in order', async (asked, expected) => {
    const connection = await server.connect();
    connection.write('GET /v2/limits/manifests/a HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(asked));
    let answers = 0;
    while (answers < asked && (await connection.answer())?.status === 200) answers += 1;

    expect(answers).toBeGreaterThanOrEqual(expected);
    expect((await server.call('/v2/')).status).toBe(200);
  });
});

describe('names that clients choose', () => {
  it('do not become labels of metrics', async () => {
    await server.call('/v2/warm/tags/list');
    const lines = async () => (await server.metrics()).split('\n').length;
    const before = await lines();
    const marker = `marker${randomUUID().slice(0, 8)}`;
    for (let index = 0; index < 200; index += 1) {
      await server.call(`/v2/${marker}-${index}/tags/list`);
    }
    for (const [method, target] of [
      [marker.toUpperCase(), `/v2/${marker}/tags/list`],
      ['PROPFIND', `/${marker}`],
      ['GET', `/v2/limits/manifests/${marker}`],
      ['GET', `/v2/${marker}?${marker}=${marker}`],
    ]) {
      await server.raw(
        `${method} ${target} HTTP/1.1\r\nHost: ${marker}\r\nUser-Agent: ${marker}\r\nConnection: close\r\n\r\n`,
      );
    }

    expect((await server.metrics()).toLowerCase()).not.toContain(marker);
    // New methods and status codes have one line each, and a histogram its buckets.
    expect((await lines()) - before).toBeLessThan(100);
  });

  it('and worse do not forge or fill lines of the log', async () => {
    const id = 'log-injection';
    const agent = `x\x1b[31m${'"},{"level":"fatal'.repeat(3)}${'y'.repeat(5000)}\xff\x7e`;
    const path = `/v2/%1b%5b31m%0a%7b%22level%22${'z'.repeat(8000)}/tags/list`;
    await server.raw(
      `GET ${path}?ns=${'n'.repeat(3000)} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${agent.replaceAll('\x1b', '\t')}\r\nX-Request-Id: ${id}\r\nConnection: close\r\n\r\n`,
    );
    await vi.waitFor(() => expect(server.log().some(({ requestId }) => requestId === id)).toBe(true), {
      timeout: 10_000,
    });

    const line = server.log().find(({ requestId }) => requestId === id);
    expect(JSON.stringify(line).length).toBeLessThan(4000);
    expect(line?.['level']).toBe('info');
    // oxlint-disable-next-line no-control-regex -- looks for control characters
    expect(server.registry.process.log()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
  });

  it('cannot make the parser of paths slow', async () => {
    const started = performance.now();
    for (const path of [
      `${'a-'.repeat(8000)}!`,
      'a__'.repeat(5000),
      `${'a/'.repeat(8000)}A`,
      `${'%25'.repeat(5000)}2f`,
      'a.'.repeat(8000),
    ]) {
      const answer = await server.raw(
        `GET /v2/${path}/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      );
      expect([400, 431]).toContain(answer?.status);
    }
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('in a query of thousands do no harm', async () => {
    // The answer repeats it in a Link, and clients take no more than 16 KiB of headers.
    const query = Array.from({ length: 1500 }, (_, index) => `k${index}=v`).join('&');

    expect((await server.call(`/v2/limits/tags/list?n=1&${query}`)).status).toBe(200);
  });
});

/** One of the many long manifests at once. */
function hadNoMemory({ status, path }: LogLine): boolean {
  return status === 503 && path === '/v2/limits/manifests/x';
}

it('is as healthy as before', async () => {
  expect(await server.problems(hadNoMemory)).toEqual([]);
  expect(await memory()).toBeLessThan(600 * MIB);
  expect(codeOf(await server.call('/v2/limits/manifests/missing'))).toBe('MANIFEST_UNKNOWN');
});
