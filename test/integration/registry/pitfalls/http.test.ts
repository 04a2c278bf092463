/**
 * Bytes that one reader takes for one request and another for two, heads without end, other versions of HTTP.
 * Advisories: CVE-2023-44487, CVE-2025-22871.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { createAuthority } from '../../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../../src/operator/pki/certificate.ts';
import { sha256 } from '../content.ts';
import { AnswerLate } from '../raw-http.ts';
import { codeOf, pushBlob, startPitfallServer, type PitfallServer } from './server.ts';

const MAX_HEADER_BYTES = 8192;

let server: PitfallServer;

beforeAll(async () => {
  server = await startPitfallServer({
    http: { maxHeaderBytes: MAX_HEADER_BYTES },
    limits: { headerSeconds: 2 },
  });
});
afterAll(() => server.stop());

/** A request that must never be seen: it stands in what should be the body of another one. */
const HIDDEN = 'GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\n\r\n';

interface Conversation {
  /** Of the answers, in order. */
  readonly statuses: number[];
  readonly closed: boolean;
}

/** An answer may take so long. */
const PATIENCE_MS = 10_000;
/** When so long nothing has come after an answer, there is no further one. */
const QUIET_MS = 250;

/** Sends everything, then reads answers until the connection ends or nothing comes for a while. */
async function converse(bytes: string): Promise<Conversation> {
  const connection = await server.connect();
  await connection.send(bytes);
  const statuses: number[] = [];
  let wait = PATIENCE_MS;
  try {
    for (;;) {
      const answer = await connection.answer('GET', wait);
      if (!answer) break;
      statuses.push(answer.status);
      // A connection that is to be closed is waited for; one that stays says nothing more.
      wait = answer.headers.get('connection') === 'close' ? PATIENCE_MS : QUIET_MS;
    }
  } catch (error) {
    if (!(error instanceof AnswerLate)) throw error;
  }
  const closed = connection.ended;
  connection.destroy();
  return { statuses, closed };
}

function seen(path: string): boolean {
  return server.log().some((line) => line['path'] === path);
}

function post(headers: string, body: string): string {
  const target = `/v2/length/blobs/uploads/?digest=${sha256('x')}`;
  return `POST ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
}

describe('the length of a body', () => {
  const chunked = `0\r\n\r\n${HIDDEN}`;

  test.each([
    ['two lengths that differ', 'Content-Length: 0\r\nContent-Length: 55', HIDDEN],
    ['two lengths that are the same', 'Content-Length: 1\r\nContent-Length: 1', 'y'],
    ['a list of lengths', 'Content-Length: 0, 55', HIDDEN],
    ['a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked', chunked],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 5', chunked],
    ['chunks twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', chunked],
    ['chunks and identity', 'Transfer-Encoding: chunked, identity', chunked],
    [
      'chunks and identity in two headers',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
      chunked,
    ],
    ['chunks in a word', 'Transfer-Encoding: xchunked', chunked],
    ['chunks behind a vertical tab', 'Transfer-Encoding: \x0bchunked', chunked],
    ['chunks before a NUL', 'Transfer-Encoding: chunked\0', chunked],
    ['chunks in quotes', 'Transfer-Encoding: "chunked"', chunked],
    ['chunks that are gzip last', 'Transfer-Encoding: chunked, gzip', chunked],
    ['a space before the colon', 'Transfer-Encoding : chunked', chunked],
    ['a tab before the colon', 'Transfer-Encoding\t: chunked', chunked],
    ['a folded line', 'Transfer-Encoding:\r\n chunked', chunked],
    ['a folded line of another header', 'X-A: b\r\n Content-Length: 55\r\nContent-Length: 0', HIDDEN],
    ['a carriage return alone', 'X: y\rTransfer-Encoding: chunked\r\nContent-Length: 55', HIDDEN],
    ['a sign', 'Content-Length: +0', HIDDEN],
    ['a hexadecimal number', 'Content-Length: 0x0', HIDDEN],
    ['a number with a blank', 'Content-Length: 0 5', HIDDEN],
    ['an empty number', 'Content-Length: ', HIDDEN],
    ['an underscore', 'Content_Length: 55\r\nContent-Length: 1', 'y'],
  ])('that is unclear, %s, hides no request', async (what, headers, body) => {
    const { statuses, closed } = await converse(post(headers, body));
    const harmless = ['two lengths that are the same', 'a folded line', 'an underscore'].includes(what);

    expect(statuses.length).toBeLessThanOrEqual(1);
    expect(seen('/v2/smuggled/tags/list')).toBe(false);
    expect(harmless || (closed && (statuses[0] ?? 400) === 400)).toBe(true);
  });

  test.each([
    ['CVE-2025-22871: a line feed alone after a chunk size', '1\nx\r\n0\r\n\r\n'],
    ['CVE-2025-22871: a line feed alone in a chunk extension', '1;a\nx\r\n0\r\n\r\n'],
    ['a line feed alone after a chunk', '1\r\nx\n0\r\n\r\n'],
    ['a carriage return alone after a chunk size', '1\rx\r\n0\r\n\r\n'],
    ['a chunk that is longer than its size', '1\r\nxy\r\n0\r\n\r\n'],
    ['a chunk size with a sign', '+1\r\nx\r\n0\r\n\r\n'],
    ['a chunk size below zero', '-1\r\nx\r\n0\r\n\r\n'],
    ['a chunk size with 0x', '0x1\r\nx\r\n0\r\n\r\n'],
    ['a chunk size with a blank before it', ' 1\r\nx\r\n0\r\n\r\n'],
    ['a chunk size of 2^64+1', '10000000000000001\r\nx\r\n0\r\n\r\n'],
    ['no chunk size', '\r\nx\r\n0\r\n\r\n'],
    ['a chunk size that is no number', 'g\r\nx\r\n0\r\n\r\n'],
  ])('in chunks, %s, is refused', async (_, body) => {
    const { statuses, closed } = await converse(post('Transfer-Encoding: chunked', `${body}${HIDDEN}`));

    expect(statuses.every((status) => status === 400)).toBe(true);
    expect(closed).toBe(true);
    expect(seen('/v2/smuggled/tags/list')).toBe(false);
    expect((await server.call(`/v2/length/blobs/${sha256('x')}`)).status).toBe(404);
  });

  it('that a chunk extension of a megabyte hides is not read to its end', async () => {
    const { statuses, closed } = await converse(
      post('Transfer-Encoding: chunked', `1;${'a'.repeat(1_000_000)}\r\nx\r\n0\r\n\r\n`),
    );

    expect(statuses.every((status) => status >= 400 && status < 500)).toBe(true);
    expect(closed).toBe(true);
  });

  it('of a GET counts, so that its body is no request', async () => {
    const { statuses } = await converse(
      `GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: ${HIDDEN.length}\r\n\r\n${HIDDEN}`,
    );

    expect(statuses).toEqual([200]);
    expect(seen('/v2/smuggled/tags/list')).toBe(false);
  });

  test.each([
    'GET /v2/a/blobs/nonsense',
    'PUT /v2/a/manifests/.',
    'PATCH /v2/a/blobs/uploads/x',
    'POST /nowhere',
  ])('of a refused request, %s, counts as well', async (request) => {
    const body = HIDDEN.replace('smuggled', 'refused');
    const { statuses } = await converse(
      `${request} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );

    expect(statuses).toHaveLength(1);
    expect(seen('/v2/refused/tags/list')).toBe(false);
  });

  test.each(['/v2/length/blobs/uploads/', '/v2/%zz'])(
    'in a request of HTTP/1.0 may not be given in chunks: %s',
    async (target) => {
      const conversation = await converse(
        `POST ${target} HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
      );

      expect(conversation).toEqual({ statuses: [400], closed: true });
      expect(seen('/v2/smuggled/tags/list')).toBe(false);
    },
  );

  it('of bytes that are coded otherwise is not known', async () => {
    const conversation = await converse(post('Transfer-Encoding: gzip, chunked', `1\r\nx\r\n${chunked}`));

    expect(conversation).toEqual({ statuses: [400], closed: true });
    expect(seen('/v2/smuggled/tags/list')).toBe(false);
    expect((await server.call(`/v2/length/blobs/${sha256('x')}`)).status).toBe(404);
  });
});

describe('lines', () => {
  it('that end with a line feed alone do not make two requests of one', async () => {
    const { statuses } = await converse(`GET /v2/ HTTP/1.1\nHost: x\n\n${HIDDEN}`);

    expect(statuses).toEqual([400]);
  });

  test.each(['GET /v2/ x HTTP/1.1', 'GET /v2/', 'GET', 'GET /v2/ HTTP/1.1 x', 'GET /v2/\tHTTP/1.1'])(
    'of a request, %s, that are not written well are refused',
    async (line) => {
      const { statuses, closed } = await converse(`${line}\r\nHost: x\r\n\r\n`);

      expect(statuses.every((status) => status === 400)).toBe(true);
      expect(closed).toBe(true);
    },
  );

  it('of several requests at once are answered in their order', async () => {
    const requests = ['/v2/', '/nowhere', '/v2/pipelined/tags/list', '/v2/A/tags/list', '/v2/'];
    const { statuses } = await converse(
      requests.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''),
    );

    expect(statuses).toEqual([200, 404, 404, 400, 200]);
  });

  it('with two hosts are refused', async () => {
    const conversation = await converse(`GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n${HIDDEN}`);

    expect(conversation).toEqual({ statuses: [400], closed: true });
    expect(seen('/v2/smuggled/tags/list')).toBe(false);
  });
});

describe('a head', () => {
  test.each([
    ['a long target', `GET /v2/${'a'.repeat(MAX_HEADER_BYTES)}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['a long query', `GET /v2/?${'a'.repeat(MAX_HEADER_BYTES)} HTTP/1.1\r\nHost: x\r\n\r\n`],
    ['a long header', `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(MAX_HEADER_BYTES)}\r\n\r\n`],
    ['a long name', `GET /v2/ HTTP/1.1\r\nHost: x\r\n${'a'.repeat(MAX_HEADER_BYTES)}: x\r\n\r\n`],
    ['many headers', `GET /v2/ HTTP/1.1\r\nHost: x\r\n${'a: b\r\n'.repeat(MAX_HEADER_BYTES / 4)}\r\n`],
  ])('that is too long, by %s, is refused', async (_, bytes) => {
    const { statuses, closed } = await converse(bytes);

    expect([[414], [431]]).toContainEqual(statuses);
    expect(closed).toBe(true);
  });

  it('that is just short enough is answered', async () => {
    const { statuses } = await converse(
      `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(MAX_HEADER_BYTES - 200)}\r\n\r\n`,
    );

    expect(statuses).toEqual([200]);
  });

  it('that never ends is cut off, and costs little memory until then', async () => {
    const before = await server.metric('process_resident_memory_bytes');
    const connection = await server.connect();
    await connection.send('GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ');
    for (let sent = 0; sent < 64 && !connection.ended; sent += 1)
      await connection.send('a'.repeat(64 * 1024));

    await connection.closed(10_000);
    expect((await server.metric('process_resident_memory_bytes')) - before).toBeLessThan(64 * 2 ** 20);
  });

  it('that comes byte by byte, or not at all, is given up after limits.headerSeconds', async () => {
    const connections = await Promise.all(Array.from({ length: 50 }, () => server.connect()));
    const timer = setInterval(() => connections.forEach((connection) => connection.write('X')), 300);
    for (const connection of connections) connection.write('GET /v2/ HTTP/1.1\r\nHost: x\r\n');
    try {
      const answers = await Promise.all(connections.map((connection) => connection.answer('GET', 40_000)));
      expect(new Set(answers.map((answer) => answer?.status ?? 408))).toEqual(new Set([408]));
    } finally {
      clearInterval(timer);
    }
    expect((await server.call('/v2/')).status).toBe(200);
  }, 60_000);
});

test.each(['http', 'ftp'])('a password in a target of the scheme %s is not logged', async (scheme) => {
  await converse(`GET ${scheme}://joe:SECRETPW@x/v2/${scheme}/tags/list HTTP/1.1\r\nHost: x\r\n\r\n`);
  await converse(`GET ${scheme}://joe:SECRETPW@x/v2/%zz HTTP/1.1\r\nHost: x\r\n\r\n`);

  await vi.waitFor(() => expect(seen(`/v2/${scheme}/tags/list`)).toBe(true), 5000);
  expect(server.registry.process.log()).not.toContain('SECRETPW');
});

describe('other versions', () => {
  test.each(['HTTP/0.9', 'HTTP/2.0', 'HTTP/1.2', 'HTTP/11', 'HTTPS/1.1', 'http/1.1', 'HTTP/1.', 'ICY/1.1'])(
    '%s are refused',
    async (version) => {
      const { statuses, closed } = await converse(`GET /v2/ ${version}\r\nHost: x\r\n\r\n`);

      expect(statuses.every((status) => [400, 505].includes(status))).toBe(true);
      expect(closed).toBe(true);
    },
  );

  it('HTTP/1.0 gets an answer and the end of the connection', async () => {
    expect(await converse('GET /v2/ HTTP/1.0\r\n\r\n')).toEqual({ statuses: [200], closed: true });
  });

  it('CVE-2023-44487: HTTP/2 is not spoken, neither by its preface nor by an upgrade', async () => {
    const preface = await converse('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const upgrade = await converse(
      'GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n',
    );
    const socket = await converse(
      'GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );

    expect(preface.closed).toBe(true);
    expect([upgrade.statuses, socket.statuses]).toEqual([[200], [200]]);
  });

  it('CVE-2023-44487: HTTP/2 is not offered within TLS', async () => {
    const issue = { now: new Date(), randomBytes };
    const authority = await createAuthority('test', issue);
    const leaf = await issueCertificate(authority, { commonName: 'registry', names: ['127.0.0.1'] }, issue);
    const secured = await startPitfallServer(async (folder) => {
      const [certificateFile, keyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
      await writeFile(certificateFile, leaf.certificate);
      await writeFile(keyFile, leaf.key);
      return { http: { tls: { certificateFile, keyFile } } };
    }, authority.certificate);
    try {
      const { port } = secured;
      const protocol = await new Promise((resolve, reject) => {
        const options = {
          host: '127.0.0.1',
          port,
          ca: authority.certificate,
          ALPNProtocols: ['h2', 'http/1.1'],
        };
        const tls = connectTls(options, () => {
          tls.destroy();
          resolve(tls.alpnProtocol);
        });
        tls.once('error', reject);
      });
      const onlyHttp2 = await new Promise((resolve) => {
        const options = { host: '127.0.0.1', port, ca: authority.certificate, ALPNProtocols: ['h2'] };
        const tls = connectTls(options, () => {
          resolve(tls.alpnProtocol);
          tls.destroy();
        });
        tls.once('error', () => resolve('refused'));
      });

      expect([protocol, onlyHttp2]).toEqual(['http/1.1', 'refused']);
      expect(await secured.problems()).toEqual([]);
    } finally {
      await secured.stop();
    }
  });
});

describe('Expect', () => {
  test.each(['100-continue', '100-Continue', '200-ok', 'nonsense', '100-continue, x=y', ''])(
    '%j does not stop a GET',
    async (value) => {
      const answer = await server.raw(
        `GET /v2/ HTTP/1.1\r\nHost: x\r\nExpect: ${value}\r\nConnection: close\r\n\r\n`,
      );

      expect(answer?.status).toBe(200);
    },
  );

  test.each(['/v2/A/blobs/uploads/', '/nowhere', `/v2/a/blobs/uploads/?digest=bad`])(
    'is not met by a request that is refused: %s',
    async (target) => {
      const connection = await server.connect();
      connection.write(
        `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`,
      );
      await connection.closed();

      expect(connection.pending.toString()).toMatch(/^HTTP\/1\.1 4\d\d /);
      expect(connection.pending.toString()).not.toContain('100 Continue');
    },
  );

  it('is not waited for by a client that sends its body at once', async () => {
    const connection = await server.connect();
    connection.write(
      `POST /v2/expect/blobs/uploads/?digest=${sha256('hello')} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello`,
    );

    expect((await connection.answer('POST'))?.status).toBe(201);
  });
});

test.each([
  ['nothing but blanks', ' '.repeat(100)],
  ['binary', Buffer.from([...Array(256).keys()]).toString('latin1')],
  ['the hello of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['a request of SOCKS', '\x05\x01\x00'],
  ['a request of SSH', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ['the header of a proxy', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['an answer', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
])('%s is no request', async (_, bytes) => {
  const connection = await server.connect();
  connection.write(bytes);
  connection.end();
  const answer = await connection.answer('GET');

  expect(answer === undefined || (answer.status === 400 && codeOf(answer) === 'UNSUPPORTED')).toBe(true);
});

it('a blob still comes as it was pushed', async () => {
  const bytes = randomBytes(100_000);
  const digest = await pushBlob(server, 'after', bytes);

  expect((await server.call(`/v2/after/blobs/${digest}`)).body.equals(bytes)).toBe(true);
});

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
});
