/**
 * Ranges of blobs: hostile numbers, many ranges, ranges that overlap, conditions. Advisories: none of the published
 * ones; what they could do to a server is CVE-2011-3192 of Apache (many overlapping ranges), which has its test here.
 */
import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import type { RawAnswer } from '../raw-http.ts';
import { codeOf, pushBlob, pushImage, startPitfallServer, type PitfallServer } from './server.ts';

const SIZE = 300_000;
const BLOB = randomBytes(SIZE);

let server: PitfallServer;
let digest: string;

beforeAll(async () => {
  server = await startPitfallServer();
  digest = await pushBlob(server, 'ranges', BLOB);
});
afterAll(() => server.stop());

async function ask(range: string, method = 'GET', more = ''): Promise<RawAnswer> {
  const answer = await server.raw(
    `${method} /v2/ranges/blobs/${digest} HTTP/1.1\r\nHost: x\r\nRange: ${range}\r\n${more}Connection: close\r\n\r\n`,
    method,
  );
  if (!answer) throw new Error('no answer');
  return answer;
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer;
}

/** The parts of an answer to several ranges (RFC 9110 §14.6). */
function partsOf(answer: RawAnswer): Part[] {
  const boundary = /^multipart\/byteranges; ?boundary="?(?<boundary>[^"]+)"?$/.exec(
    answer.headers.get('content-type') ?? '',
  )?.groups?.['boundary'];
  if (boundary === undefined) throw new Error(`no boundary in ${answer.head}`);
  const sections = answer.body.toString('latin1').split(`--${boundary}`);
  expect(sections.at(-1)?.trim()).toBe('--');
  return sections.slice(1, -1).map((section) => {
    const end = section.indexOf('\r\n\r\n');
    const groups = /content-range: bytes (?<start>\d+)-(?<end>\d+)\/(?<size>\d+)/i.exec(
      section.slice(0, end),
    )?.groups;
    expect(groups?.['size']).toBe(String(SIZE));
    const bytes = Buffer.from(section.slice(end + 4, -2), 'latin1');
    return { start: Number(groups?.['start']), end: Number(groups?.['end']), bytes };
  });
}

/** Status, for 416 the code, and whether a 200 is the blob as it is. */
function kindOf(answer: RawAnswer): string {
  if (answer.status === 416) return `416 ${String(codeOf(answer))}`;
  if (answer.status !== 200) return String(answer.status);
  const whole = answer.headers.get('content-length') === String(SIZE) && answer.body.equals(BLOB);
  return whole ? '200 whole' : '200 something else';
}

const ANY_RIGHT_ANSWER = ['200 whole', '206', '416 RANGE_INVALID'];

describe('one range', () => {
  test.each([
    ['bytes=0-0', 0, 0],
    ['bytes=0-', 0, SIZE - 1],
    ['bytes=-1', SIZE - 1, SIZE - 1],
    [`bytes=-${SIZE}`, 0, SIZE - 1],
    [`bytes=-${SIZE + 1}`, 0, SIZE - 1],
    ['bytes=-99999999999999999999999', 0, SIZE - 1],
    [`bytes=${SIZE - 1}-`, SIZE - 1, SIZE - 1],
    [`bytes=${SIZE - 2}-${SIZE + 5}`, SIZE - 2, SIZE - 1],
    ['bytes=5-99999999999999999999999', 5, SIZE - 1],
    ['bytes=5-9007199254740993', 5, SIZE - 1],
    ['bytes=65535-65536', 65_535, 65_536],
    ['bytes=0000000000000000000001-2', 1, 2],
  ])('%s is clipped to what there is', async (range, start, end) => {
    const answer = await ask(range);

    expect(answer.status).toBe(206);
    expect(answer.headers.get('content-range')).toBe(`bytes ${start}-${end}/${SIZE}`);
    expect(answer.headers.get('content-length')).toBe(String(end - start + 1));
    expect(answer.body.equals(BLOB.subarray(start, end + 1))).toBe(true);
  });

  test.each([
    `bytes=${SIZE}-`,
    `bytes=${SIZE}-${SIZE}`,
    'bytes=99999999999999999999999-',
    'bytes=18446744073709551616-18446744073709551617',
    'bytes=-0',
  ])('%s outside of the blob is refused with its size', async (range) => {
    const answer = await ask(range);

    expect([answer.status, codeOf(answer)]).toEqual([416, 'RANGE_INVALID']);
    expect(answer.headers.get('content-range')).toBe(`bytes */${SIZE}`);
  });

  test.each([
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1-2x',
    'bytes=0x0-0xf',
    'bytes=1.5-2',
    'bytes=--5',
    'bytes=+1-2',
    'bytes 0-1',
    'octets=0-1',
    'none',
    '=0-1',
    'bytes==0-1',
    `bytes=${'0'.repeat(20_000)}-`,
    `bytes=${' '.repeat(20_000)}`,
    `bytes=${'-'.repeat(20_000)}`,
  ])(
    '%.40s that cannot be read is no range, or none that can be satisfied, and is answered at once',
    async (range) => {
      const started = performance.now();
      const answer = await ask(range);

      expect(ANY_RIGHT_ANSWER).toContain(kindOf(answer));
      expect(answer.body.length).toBeLessThanOrEqual(SIZE);
      expect(performance.now() - started).toBeLessThan(3000);
    },
  );

  it('whose end comes before its start is never answered with bytes of somewhere else', async () => {
    const answer = await ask('bytes=20-10');

    expect(['200 whole', '416 RANGE_INVALID']).toContain(kindOf(answer));
  });

  it('of an empty blob gives nothing, and no error of the server', async () => {
    const empty = await pushBlob(server, 'ranges', '');
    for (const range of ['bytes=0-', 'bytes=0-0', 'bytes=-1', 'bytes=-0', 'bytes=0-0,-1']) {
      const answer = await server.call(`/v2/ranges/blobs/${empty}`, { headers: { range } });
      expect([200, 416]).toContain(answer.status);
    }
  });

  it('does not matter to HEAD in a way that lies about the length', async () => {
    const answer = await ask('bytes=0-9', 'HEAD');

    expect([
      [200, String(SIZE)],
      [206, '10'],
    ]).toContainEqual([answer.status, answer.headers.get('content-length')]);
  });

  it('of a manifest is answered with the whole manifest, or the part', async () => {
    await pushImage(server, 'ranges', 'v1');
    const whole = await server.call('/v2/ranges/manifests/v1');
    const answer = await server.call('/v2/ranges/manifests/v1', { headers: { range: 'bytes=0-9' } });

    expect([whole.body.toString(), whole.body.toString().slice(0, 10)]).toContain(answer.body.toString());
  });
});

describe('several ranges', () => {
  it('come as parts, each with its bytes', async () => {
    const answer = await ask('bytes=0-9, 100-199,-5');

    expect(answer.status).toBe(206);
    const parts = partsOf(answer);
    expect(parts.map(({ start, end }) => [start, end])).toEqual([
      [0, 9],
      [100, 199],
      [SIZE - 5, SIZE - 1],
    ]);
    for (const { start, end, bytes } of parts) expect(bytes.equals(BLOB.subarray(start, end + 1))).toBe(true);
    expect(answer.headers.get('content-length')).toBe(String(answer.body.length));
  });

  it('of which some lie outside come without those', async () => {
    const answer = await ask(`bytes=0-9,${SIZE}-,20-29`);

    expect(answer.status).toBe(206);
    expect(partsOf(answer).map(({ start }) => start)).toEqual([0, 20]);
  });

  it('that all lie outside are refused', async () => {
    const answer = await ask(`bytes=${SIZE}-,${SIZE + 5}-${SIZE + 6}`);

    expect([answer.status, answer.headers.get('content-range')]).toEqual([416, `bytes */${SIZE}`]);
  });

  test.each([
    ['17', 17, (index: number) => `${index * 10}-${index * 10}`],
    ['1000', 1000, (index: number) => `${index}-${index}`],
    ['1300 that are the whole blob each (CVE-2011-3192)', 1300, () => '0-'],
    ['1000 that begin at every byte', 1000, (index: number) => `${index}-`],
  ])('more than 16, %s, are answered with the blob once', async (_, count, range) => {
    const ranges = Array.from({ length: count }, (_entry, index) => range(index));

    expect(kindOf(await ask(`bytes=${ranges.join(',')}`))).toBe('200 whole');
  });

  it('that overlap never send much more than the blob', async () => {
    for (const ranges of [
      Array.from({ length: 16 }, () => '0-'),
      ['0-', '0-', '1-'],
      ['-299999', '-299998'],
    ]) {
      const answer = await ask(`bytes=${ranges.join(',')}`);

      expect([200, 206, 416]).toContain(answer.status);
      expect(answer.body.length).toBeLessThan(SIZE + 10_000);
    }
  });

  test.each([
    'bytes=0-1,',
    'bytes=,0-1',
    'bytes=,,,,',
    'bytes=0-1,,2-3',
    'bytes=0-1,x',
    'bytes=0-1;2-3',
    'bytes=1-0,0-1',
  ])('%s that are not written well do no harm', async (range) => {
    const answer = await ask(range);

    expect(ANY_RIGHT_ANSWER).toContain(kindOf(answer));
  });

  it('named by two headers are one list or none', async () => {
    const answer = await ask('bytes=0-9', 'GET', 'Range: bytes=20-29\r\n');

    expect(['200 whole', '206']).toContain(kindOf(answer));
  });
});

describe('conditions', () => {
  it('If-Range with another or a weak tag, or a date, asks for the whole blob', async () => {
    for (const tag of ['"x"', `W/"${digest}"`, 'Wed, 21 Oct 2026 07:28:00 GMT', '*']) {
      expect(kindOf(await ask('bytes=0-9', 'GET', `If-Range: ${tag}\r\n`))).toBe('200 whole');
    }
    expect((await ask('bytes=0-9', 'GET', `If-Range: "${digest}"\r\n`)).status).toBe(206);
  });

  it('If-None-Match goes before Range', async () => {
    for (const tag of [`"${digest}"`, '*', `"x", W/"${digest}"`]) {
      expect((await ask('bytes=0-9', 'GET', `If-None-Match: ${tag}\r\n`)).status).toBe(304);
    }
    expect((await ask('bytes=0-9', 'GET', `If-None-Match: ${'"x",'.repeat(5000)}"y"\r\n`)).status).toBe(206);
  });

  it('on a blob that is not there are 404', async () => {
    const missing = digest.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    const headers = { range: 'bytes=0-', 'if-none-match': '*' };
    for (const method of ['GET', 'HEAD']) {
      expect((await server.call(`/v2/ranges/blobs/${missing}`, { method, headers })).status).toBe(404);
    }
  });
});

it('never compresses, or leaves out the length', async () => {
  const answer = await ask(
    'bytes=0-',
    'GET',
    'Accept-Encoding: gzip, br, zstd, *;q=0\r\nTE: gzip, trailers\r\n',
  );

  expect(answer.headers.get('content-encoding')).toBeUndefined();
  expect(answer.headers.get('transfer-encoding')).toBeUndefined();
  expect(answer.body.equals(BLOB)).toBe(true);
});

it('is as healthy as before', async () => {
  expect(await server.problems()).toEqual([]);
});
