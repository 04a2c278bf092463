/**
 * Uploads by clients that lie, repeat themselves, compete or leave. Advisories: CVE-2024-39897
 * (GHSA-55r9-5mx9-qq7r).
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import type { Answer } from '../../../servers/registry.ts';
import { manifestOf, sha256 } from '../content.ts';
import type { RawConnection } from '../raw-http.ts';
import {
  codeOf,
  pushBlob,
  putManifest,
  refusalOf,
  startPitfallServer,
  startUpload,
  type PitfallServer,
} from './server.ts';

let server: PitfallServer;
const BLOB = randomBytes(50_000);
const DIGEST = sha256(BLOB);
/** For `vi.waitFor`: a busy machine takes its time. */
const PATIENT = { timeout: 15_000, interval: 20 };

beforeAll(async () => {
  server = await startPitfallServer();
});
afterAll(() => server.stop());

function sha512(bytes: Uint8Array | string): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

function patch(
  location: string,
  body: Uint8Array | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return server.call(location, { method: 'PATCH', headers, body });
}

function put(location: string, digest: string, body?: Uint8Array | string): Promise<Answer> {
  return server.call(`${location}?digest=${digest}`, {
    method: 'PUT',
    ...(body === undefined ? {} : { body }),
  });
}

async function statusOfBlob(repository: string, digest: string): Promise<number> {
  return (await server.call(`/v2/${repository}/blobs/${digest}`, { method: 'HEAD' })).status;
}

/** Bytes that the session has. */
async function offsetOf(location: string): Promise<number> {
  const { headers, status } = await server.call(location);
  expect(status).toBe(204);
  const range = String(headers['range']);
  return range === '0-0' ? 0 : Number(range.slice('0-'.length)) + 1;
}

async function expectPulled(repository: string, digest: string, bytes: Uint8Array): Promise<void> {
  const answer = await server.call(`/v2/${repository}/blobs/${digest}`);
  expect(answer.status).toBe(200);
  expect(answer.body.equals(bytes)).toBe(true);
}

/** Sends a head and a part of the body, and waits until the server has taken the part. */
async function beginPatch(location: string, length: number, part: Uint8Array): Promise<RawConnection> {
  const connection = await server.connect();
  await connection.send(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
  await connection.send(part);
  await vi.waitFor(async () => {
    const second = await patch(location, 'x', { 'content-range': '0-0' });
    expect(refusalOf(second)).toBe('416 RANGE_INVALID');
  }, PATIENT);
  return connection;
}

/** Upload sessions of a repository that the storage has. */
async function sessionsOf(repository: string): Promise<string[]> {
  const folder = join(server.folder, 'data/docker/registry/v2/repositories', repository, '_uploads');
  return readdir(folder).catch(() => []);
}

describe('two writers on one session', () => {
  it('do not interleave: the second is refused and told where the upload goes on', async () => {
    const location = await startUpload(server, 'writers');
    const first = await beginPatch(location, BLOB.length, BLOB.subarray(0, 20_000));

    const appended = await patch(location, randomBytes(100));
    const completed = await put(location, sha256('x'), 'x');
    await first.send(BLOB.subarray(20_000));
    const answer = await first.answer('PATCH');

    expect([appended, completed].map((entry) => refusalOf(entry))).toEqual(
      Array.from({ length: 2 }, () => '416 RANGE_INVALID'),
    );
    expect(appended.headers.location).toBe(location);
    expect(answer?.status).toBe(202);
    expect((await put(location, DIGEST)).status).toBe(201);
    await expectPulled('writers', DIGEST, BLOB);
  });

  it('that send the same chunk at once leave it there once', async () => {
    const location = await startUpload(server, 'writers/race');
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => patch(location, BLOB, { 'content-range': `0-${BLOB.length - 1}` })),
    );

    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(
      answers.filter(({ status }) => status !== 202).every((answer) => codeOf(answer) === 'RANGE_INVALID'),
    ).toBe(true);
    expect(await offsetOf(location)).toBe(BLOB.length);
    expect((await put(location, DIGEST)).status).toBe(201);
  });

  it('where one completes and the others repeat it all get the blob', async () => {
    const location = await startUpload(server, 'writers/complete');
    await patch(location, BLOB);
    const answers = await Promise.all(Array.from({ length: 8 }, () => put(location, DIGEST)));

    const statuses = new Set(answers.map(({ status }) => status));
    expect(statuses.has(201)).toBe(true);
    expect([...statuses].filter((status) => status !== 201 && status !== 416)).toEqual([]);
    expect((await put(location, DIGEST)).status).toBe(201);
    await expectPulled('writers/complete', DIGEST, BLOB);
  });

  it('where one cancels: the other is told, and nothing is left', async () => {
    const location = await startUpload(server, 'writers/cancel');
    const writer = await beginPatch(location, BLOB.length, BLOB.subarray(0, 1000));

    const cancelled = await server.call(location, { method: 'DELETE' });
    const answer = await writer.answer('PATCH');

    expect(cancelled.status).toBe(204);
    expect(refusalOf(answer)).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect((await server.call(location)).status).toBe(404);
    expect(await sessionsOf('writers/cancel')).toEqual([]);
  });
});

describe('a client that repeats itself', () => {
  it('gets the same answer for a PUT whose answer was lost', async () => {
    const location = await startUpload(server, 'again');
    const answers = [
      await put(location, DIGEST, BLOB),
      await put(location, DIGEST, BLOB),
      await put(location, DIGEST),
    ];

    expect(answers.map(({ status, headers }) => [status, headers.location])).toEqual(
      Array.from({ length: 3 }, () => [201, `/v2/again/blobs/${DIGEST}`]),
    );
  });

  it('cannot complete a finished session as another blob', async () => {
    const location = await startUpload(server, 'again/other');
    await put(location, DIGEST, BLOB);

    expect(refusalOf(await put(location, sha256('other'), 'other'))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect(refusalOf(await patch(location, 'x'))).toBe('404 BLOB_UPLOAD_UNKNOWN');
    expect(await statusOfBlob('again/other', sha256('other'))).toBe(404);
  });

  it('is told where the upload stands when it sends a chunk twice', async () => {
    const location = await startUpload(server, 'again/chunk');
    const chunk = { 'content-range': '0-999' };
    await patch(location, BLOB.subarray(0, 1000), chunk);
    const second = await patch(location, BLOB.subarray(0, 1000), chunk);

    expect([refusalOf(second), second.headers['range']]).toEqual(['416 RANGE_INVALID', '0-999']);
    expect(await offsetOf(location)).toBe(1000);
  });
});

describe('a client that lies about the digest', () => {
  test.each([
    ['another one', () => sha256('something else')],
    ['the sha512 of something else', () => sha512('something else')],
    ['its sha256 with the name of sha512', () => `sha512:${DIGEST.slice('sha256:'.length).repeat(2)}`],
  ])('with %s is refused, and nothing becomes visible', async (_, digestOf) => {
    const digest = digestOf();
    const location = await startUpload(server, 'lies/digest');
    await patch(location, BLOB);
    const answers = [
      await put(location, digest),
      await server.call(`/v2/lies/digest/blobs/uploads/?digest=${digest}`, { method: 'POST', body: BLOB }),
    ];

    expect(answers.map((answer) => refusalOf(answer))).toEqual(['400 DIGEST_INVALID', '400 DIGEST_INVALID']);
    expect(await statusOfBlob('lies/digest', digest)).toBe(404);
    expect(await statusOfBlob('lies/digest', DIGEST)).toBe(404);
    expect((await server.call(location)).status).toBe(404);
    expect(await sessionsOf('lies/digest')).toEqual([]);
  });

  it('may name a right digest of either algorithm, whatever was announced', async () => {
    for (const [announced, digest] of [
      ['sha512', sha256(BLOB)],
      ['sha256', sha512(BLOB)],
    ]) {
      const started = await server.call(`/v2/both/blobs/uploads/?digest-algorithm=${announced}`, {
        method: 'POST',
      });
      expect((await put(String(started.headers.location), String(digest), BLOB)).status).toBe(201);
      await expectPulled('both', String(digest), BLOB);
    }
  });

  it('may not leave it out, or announce an algorithm that there is not', async () => {
    const location = await startUpload(server, 'lies/none');

    expect(refusalOf(await server.call(location, { method: 'PUT' }))).toBe('400 DIGEST_INVALID');
    expect(refusalOf(await server.call(`${location}?digest=`, { method: 'PUT' }))).toBe('400 DIGEST_INVALID');
    for (const algorithm of ['md5', 'SHA256', '', '../', 'sha512%00', '__proto__']) {
      const answer = await server.call(`/v2/a/blobs/uploads/?digest-algorithm=${algorithm}`, {
        method: 'POST',
      });
      expect(refusalOf(answer)).toBe('400 DIGEST_INVALID');
    }
    expect((await server.call(location)).status).toBe(204);
  });
});

describe('a client that lies about the length', () => {
  it('and leaves early gets no blob, and can go on with what arrived', async () => {
    const location = await startUpload(server, 'lies/short');
    const connection = await beginPatch(location, BLOB.length, BLOB.subarray(0, 30_000));
    connection.reset();

    await vi.waitFor(async () => expect(await offsetOf(location)).toBe(30_000), PATIENT);
    // Refused as long as the server has not heard that the first client has left.
    await vi.waitFor(
      async () => expect((await put(location, DIGEST, BLOB.subarray(30_000))).status).toBe(201),
      PATIENT,
    );
    await expectPulled('lies/short', DIGEST, BLOB);
  });

  it('in a whole blob leaves nothing', async () => {
    const connection = await server.connect();
    const head = `POST /v2/lies/post/blobs/uploads/?digest=${DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: ${BLOB.length}\r\n\r\n`;
    await connection.send(head);
    await connection.send(BLOB.subarray(0, BLOB.length - 1));
    connection.reset();

    await vi.waitFor(async () => expect(await sessionsOf('lies/post')).toEqual([]), PATIENT);
    expect(await statusOfBlob('lies/post', DIGEST)).toBe(404);
  });

  it('and sends more than it promised has sent another request, which is none and ends the connection', async () => {
    const connection = await server.connect();
    const head = `POST /v2/lies/long/blobs/uploads/?digest=${DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: ${BLOB.length}\r\n\r\n`;
    await connection.send(Buffer.concat([Buffer.from(head), BLOB, Buffer.from('and more of it\r\n\r\n')]));

    // The end of the connection may come before the answer to what was right, but no blob is half there.
    const status = (await connection.answer('POST'))?.status;
    await connection.closed();
    await vi.waitFor(async () => expect(await sessionsOf('lies/long')).toEqual([]), PATIENT);
    const pulled = await server.call(`/v2/lies/long/blobs/${DIGEST}`);
    expect([201, 400, undefined]).toContain(status);
    expect(pulled.status === 404 ? status !== 201 : pulled.body.equals(BLOB)).toBe(true);
  });

  test.each([
    ['shorter than Content-Range says', '0-99', 50],
    ['longer than Content-Range says', '0-99', 150],
  ])('in a stream that is %s is refused', async (_, range, size) => {
    const location = await startUpload(server, 'lies/range');
    const headers = { 'content-range': range, 'transfer-encoding': 'chunked' };

    expect(refusalOf(await patch(location, randomBytes(size), headers))).toBe('400 SIZE_INVALID');
    expect(await offsetOf(location)).toBeLessThanOrEqual(100);
  });

  it('by a Content-Range that is not as long as Content-Length is refused before the body', async () => {
    const location = await startUpload(server, 'lies/both');

    expect(refusalOf(await patch(location, 'x'.repeat(50), { 'content-range': '0-99' }))).toBe(
      '400 SIZE_INVALID',
    );
    expect(await offsetOf(location)).toBe(0);
  });

  test.each(['0', '-5-5', '5-', '-5', '9-3', 'a-b', '0-9007199254740993', '0--1', '0-1,2-3', '0x0-0x1', ''])(
    'by the Content-Range %j is refused',
    async (range) => {
      const location = await startUpload(server, 'lies/syntax');
      const answer = await patch(location, 'xx', { 'content-range': range });

      expect(refusalOf(answer)).toMatch(/^(?:416 RANGE_INVALID|400 (?:RANGE|SIZE)_INVALID)$/);
      expect(await offsetOf(location)).toBe(0);
    },
  );

  test.each(['+5', '-1', '5, 5', '0x5', '5 5', '1e3', '99999999999999999999', 'abc'])(
    'by the Content-Length %j never gets a blob',
    async (length) => {
      const answer = await server.raw(
        `POST /v2/lies/number/blobs/uploads/?digest=${sha256('hello')} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\nhello`,
      );

      expect(answer?.status).toBe(400);
      expect(await statusOfBlob('lies/number', sha256('hello'))).toBe(404);
    },
  );
});

describe('an empty blob', () => {
  const empty = sha256('');

  test.each([
    [
      'POST',
      async (repository: string) =>
        server.call(`/v2/${repository}/blobs/uploads/?digest=${empty}`, { method: 'POST', body: '' }),
    ],
    ['PUT', async (repository: string) => put(await startUpload(server, repository), empty)],
    [
      'an empty PATCH and PUT',
      async (repository: string) => {
        const location = await startUpload(server, repository);
        expect((await patch(location, '')).status).toBe(202);
        return put(location, empty);
      },
    ],
    [
      'an empty stream',
      async (repository: string) => {
        const location = await startUpload(server, repository);
        return server.call(`${location}?digest=${empty}`, {
          method: 'PUT',
          headers: { 'transfer-encoding': 'chunked' },
          body: '',
        });
      },
    ],
  ])('is made by %s', async (how, push) => {
    const repository = `empty/${how.replaceAll(/\W+/g, '-').toLowerCase()}`;

    expect((await push(repository)).status).toBe(201);
    await expectPulled(repository, empty, Buffer.alloc(0));
  });

  it('is not what an upload with another digest becomes', async () => {
    const location = await startUpload(server, 'empty/wrong');

    expect(refusalOf(await put(location, DIGEST))).toBe('400 DIGEST_INVALID');
  });
});

describe('bytes', () => {
  it('are kept as they come, whatever Content-Encoding says', async () => {
    const location = await startUpload(server, 'encoded');
    await patch(location, BLOB, { 'content-encoding': 'gzip', 'content-type': 'application/octet-stream' });

    expect((await put(location, DIGEST)).status).toBe(201);
    await expectPulled('encoded', DIGEST, BLOB);
  });

  it('are the same in any cutting into chunks, with extensions and trailers', async () => {
    const connection = await server.connect();
    connection.write(
      `POST /v2/chunked/blobs/uploads/?digest=${sha256('hello world')} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    for (const part of [
      '1;a=b\r\nh\r\n',
      '0004\r\nello\r\n',
      '6\r\n world\r\n',
      '0\r\nX-Trailer: y\r\n\r\n',
    ]) {
      await connection.send(part);
    }

    expect((await connection.answer('POST'))?.status).toBe(201);
    await expectPulled('chunked', sha256('hello world'), Buffer.from('hello world'));
  });

  it('of a form are no chunk', async () => {
    const location = await startUpload(server, 'form');
    for (const type of [
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencoded',
      'text/html',
    ]) {
      expect(refusalOf(await patch(location, 'x', { 'content-type': type }))).toBe('415 UNSUPPORTED');
    }
    expect(await offsetOf(location)).toBe(0);
  });
});

describe('CVE-2024-39897: content of other repositories', () => {
  it('is neither found nor pulled by its digest alone', async () => {
    const digest = await pushBlob(server, 'theirs', 'something of theirs');
    await pushBlob(server, 'ours', 'something of ours');

    for (const method of ['HEAD', 'GET', 'DELETE']) {
      expect((await server.call(`/v2/ours/blobs/${digest}`, { method })).status).toBe(404);
    }
  });

  it('cannot be named by a manifest', async () => {
    await pushBlob(server, 'theirs', '{}');
    const answer = await putManifest(server, '/v2/ours/manifests/v1', manifestOf());

    expect(refusalOf(answer)).toBe('400 MANIFEST_BLOB_UNKNOWN');
  });

  it('cannot be mounted once no repository has it, although its bytes may still be there', async () => {
    const digest = await pushBlob(server, 'theirs', 'soon gone');
    await server.call(`/v2/theirs/blobs/${digest}`, { method: 'DELETE' });

    for (const query of [`mount=${digest}&from=theirs`, `mount=${digest}`, `mount=${digest}&from=ours`]) {
      expect((await server.call(`/v2/ours/blobs/uploads/?${query}`, { method: 'POST' })).status).toBe(202);
    }
    expect(await statusOfBlob('ours', digest)).toBe(404);
  });

  it('does not come by an upload that claims its digest', async () => {
    const digest = await pushBlob(server, 'theirs', 'claimed by another');

    const answer = await server.call(`/v2/ours/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: 'x',
    });
    const location = await startUpload(server, 'ours');
    const completed = await put(location, digest);

    expect([refusalOf(answer), refusalOf(completed)]).toEqual(['400 DIGEST_INVALID', '400 DIGEST_INVALID']);
    expect(await statusOfBlob('ours', digest)).toBe(404);
  });

  test.each(['nonsense', '', 'sha256:abc', 'md5:d41d8cd98f00b204e9800998ecf8427e', '..%2f..'])(
    'is not what mount=%s finds',
    async (mount) => {
      const answer = await server.call(`/v2/ours/blobs/uploads/?mount=${mount}&from=theirs`, {
        method: 'POST',
      });

      expect([202, 400]).toContain(answer.status);
    },
  );
});

it('leaves no lock behind', async () => {
  const names = await readdir(join(server.folder, 'data'), { recursive: true });
  expect(names.filter((name) => name.includes('~lock'))).toEqual([]);
});

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
});
