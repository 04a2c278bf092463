/**
 * Users, passwords and what each may do. Advisories: CVE-2019-16097, CVE-2020-29662, CVE-2022-46463,
 * CVE-2024-22278, CVE-2025-23208 (GHSA-c9p4-xwr9-rfhx), CVE-2025-24976, CVE-2025-48374 (GHSA-c37v-3c8w-crq8),
 * CVE-2026-4404, CVE-2026-27771 (Gitea), Harbor #23675.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';
import { afterAll, beforeAll, describe, expect, it, test, vi } from 'vitest';

import { runToEnd, type Answer, type Call } from '../../../servers/registry.ts';
import { manifestOf, MANIFEST_TYPE, sha256 } from '../content.ts';
import { pushImage, refusalOf, startPitfallServer, startUpload, type PitfallServer } from './server.ts';

const LONG = 'x'.repeat(72);
const PASSWORDS: Readonly<Record<string, string>> = {
  ada: 'sec:ret:ä€😀',
  empty: '',
  long: LONG,
  jürgen: 'pässwörd',
  adamant: 'another',
  spaces: ' a b ',
};
const ADA = `ada:${PASSWORDS['ada']}`;
const REALM = 'registry';
const RELOAD = { timeout: 20_000, interval: 100 };

let server: PitfallServer;
let htpasswd: string;

/** Anonymous clients may pull in one server and nothing in the other. */
beforeAll(async () => {
  server = await startPitfallServer(async (folder) => {
    htpasswd = join(folder, 'htpasswd');
    await writeFile(htpasswd, linesOf(PASSWORDS));
    return {
      auth: { anonymous: 'None', basic: { htpasswdFiles: [htpasswd], realm: REALM } },
      logging: { level: 'Debug' },
    };
  });
  await pushImage(server, 'private', 'v1', ADA);
});
afterAll(() => server.stop());

function linesOf(passwords: Readonly<Record<string, string>>): string {
  return Object.entries(passwords)
    .map(([user, password]) => `${user}:${hashSync(password, 4)}\n`)
    .join('');
}

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

async function statusWith(authorization: string, call: Call = {}, target = '/v2/'): Promise<number> {
  const { headers } = call;
  return (await server.call(target, { ...call, headers: { ...headers, authorization } })).status;
}

const DIGEST = sha256('{}');
const MANIFEST = manifestOf({ repository: 'private', reference: 'v1' });

interface Request {
  readonly target: string;
  readonly call: Call;
}

function request(method: string, target: string, body?: string): Request {
  return { target, call: { method, ...(body === undefined ? {} : { body }) } };
}

const READS: readonly Request[] = ['GET', 'HEAD'].flatMap((method) => [
  request(method, '/v2/private/manifests/v1'),
  request(method, `/v2/private/manifests/${sha256(MANIFEST)}`),
  request(method, `/v2/private/blobs/${DIGEST}`),
  request(method, '/v2/private/tags/list'),
  request(method, `/v2/private/referrers/${DIGEST}`),
  request(method, '/v2/_catalog'),
  request(method, '/v2/_oci/ext/discover'),
]);

async function writes(): Promise<readonly Request[]> {
  const session = await startUpload(server, 'private', ADA);
  return [
    request('POST', '/v2/private/blobs/uploads/'),
    request('POST', `/v2/private/blobs/uploads/?digest=${DIGEST}`, '{}'),
    request('POST', `/v2/mine/blobs/uploads/?mount=${DIGEST}&from=private`),
    request('POST', `/v2/mine/blobs/uploads/?mount=${DIGEST}`),
    request('GET', session),
    request('PATCH', session, 'x'),
    request('PUT', `${session}?digest=${DIGEST}`, '{}'),
    request('DELETE', session),
    {
      target: '/v2/private/manifests/v2',
      call: { method: 'PUT', body: MANIFEST, headers: { 'content-type': MANIFEST_TYPE } },
    },
    request('DELETE', '/v2/private/manifests/v1'),
    request('DELETE', `/v2/private/manifests/${sha256(MANIFEST)}`),
    request('DELETE', `/v2/private/blobs/${DIGEST}`),
    request('DELETE', '/v2/private/_registry-operator/repository'),
  ];
}

function expectChallenge(answer: Answer): void {
  expect(answer.status).toBe(401);
  expect(answer.headers['www-authenticate']).toBe(`Basic realm="${REALM}"`);
}

function shapeOf(answer: Answer): unknown[] {
  return [refusalOf(answer), answer.headers['content-length']];
}

/** A part of a JSON web token. */
function tokenPart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Replaces the file of users, and waits until the server has seen that. */
async function replaceUsers(text: string, seen: () => Promise<boolean>): Promise<void> {
  await writeFile(htpasswd, text);
  await vi.waitFor(async () => expect(await seen()).toBe(true), RELOAD);
}

describe('without credentials', () => {
  it('CVE-2026-27771, CVE-2020-29662, CVE-2022-46463: nothing can be read, listed or asked for', async () => {
    for (const { target, call } of READS) {
      const answer = await server.call(target, call);
      expectChallenge(answer);
      expect(answer.headers['docker-content-digest']).toBeUndefined();
      expect(answer.headers['etag']).toBeUndefined();
    }
  });

  it('CVE-2024-22278, CVE-2024-39897: nothing can be written, mounted or deleted', async () => {
    for (const { target, call } of await writes()) expectChallenge(await server.call(target, call));

    expect((await server.call('/v2/private/manifests/v1', { user: ADA })).status).toBe(200);
    expect((await server.call('/v2/mine/tags/list', { user: ADA })).status).toBe(404);
  });

  it('what is there cannot be told from what is not', async () => {
    for (const [there, missing] of [
      ['/v2/private/manifests/v1', '/v2/private/manifests/v9'],
      ['/v2/private/tags/list', '/v2/unknown/tags/list'],
      [`/v2/private/blobs/${DIGEST}`, `/v2/private/blobs/${sha256('missing')}`],
    ]) {
      expect(shapeOf(await server.call(String(there)))).toEqual(shapeOf(await server.call(String(missing))));
    }
  });

  it('a body is not read, and no 100 Continue sent', async () => {
    const connection = await server.connect();
    connection.write(
      `POST /v2/private/blobs/uploads/?digest=${DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n`,
    );
    await connection.closed();

    expect(connection.pending.toString()).toMatch(/^HTTP\/1\.1 401 /);
  });

  it('a client that sends without being asked is answered before it has sent everything', async () => {
    const connection = await server.connect();
    connection.write(
      `POST /v2/private/blobs/uploads/?digest=${DIGEST} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n`,
    );
    await connection.send('x'.repeat(100_000));

    expect((await connection.answer('POST'))?.status).toBe(401);
  });

  it('the same request in another spelling is no way around', async () => {
    for (const target of [
      '/v2/private/manifests/%76%31',
      '/v2/%70rivate/manifests/v1',
      '/v2//private/manifests/v1',
      '/v2/./private/manifests/v1',
      '/v2/private/manifests/v1/',
      '/v2/private/manifests/v1?ns=',
      '//v2/private/manifests/v1',
      'http://x/v2/private/manifests/v1',
      '/V2/private/manifests/v1',
    ]) {
      for (const method of ['GET', 'HEAD']) {
        const answer = await server.raw(
          `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
          method,
        );
        expect([400, 401, 404]).toContain(answer?.status);
        expect(answer?.headers.get('docker-content-digest')).toBeUndefined();
      }
    }
  });
});

describe('a password', () => {
  test.each(Object.entries(PASSWORDS))('of %s is known as it is, %j', async (user, password) => {
    expect(await statusWith(basic(`${user}:${password}`))).toBe(200);
    expect(await statusWith(basic(`${user}:${password}x`))).toBe(user === 'long' ? 200 : 401);
  });

  it('counts to its 72nd byte, as bcrypt has it, and not to its 71st', async () => {
    expect(await statusWith(basic(`long:${LONG}and more`))).toBe(200);
    expect(await statusWith(basic(`long:${LONG.slice(1)}`))).toBe(401);
  });

  test.each([
    ['nothing', ''],
    ['a wrong one', 'ada:wrong'],
    ['part of it', 'ada:sec'],
    ['another case', 'ada:SEC:ret:ä€😀'],
    ['the one of another user', `ada:${PASSWORDS['adamant']}`],
    ['its hash', ''],
    ['an empty one of somebody who has one', 'ada:'],
    ['in Latin-1', ''],
    ['with a NUL behind it', `${ADA}\0`],
    ['with a line break behind it', `${ADA}\n`],
    ['with a blank behind it', `${ADA} `],
    ['without a colon', 'ada'],
    ['without a user', ':x'],
    ['of a megabyte less a bit', `ada:${'x'.repeat(6000)}`],
  ])('that is %s is refused', async (what, text) => {
    const hash = /^ada:(?<hash>.*)$/m.exec(await readFile(htpasswd, 'utf8'))?.groups?.['hash'] ?? '';
    const value = { 'its hash': `ada:${hash}`, 'in Latin-1': 'jürgen:pässwörd' }[what] ?? text;
    const bytes = Buffer.from(value, what === 'in Latin-1' ? 'latin1' : 'utf8');

    expect(await statusWith(`Basic ${bytes.toString('base64')}`)).toBe(401);
  });

  test.each(['basic', 'BASIC', 'bAsIc'])('comes by the scheme in any case: %s', async (scheme) => {
    expect(await statusWith(basic(ADA).replace('Basic', scheme))).toBe(200);
  });

  test.each([
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic\tYTpi',
    `Basic${Buffer.from(ADA).toString('base64')}`,
    `Basic ${Buffer.from(ADA).toString('base64')} x`,
    'Basic ada:secret',
    `Basic username="ada"`,
    'Digest username="ada"',
    'Negotiate YII=',
    'x'.repeat(9000),
  ])('that does not come as Basic is refused: %s', async (header) => {
    const answer = await server.raw(`GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${header}\r\n\r\n`);

    expect(answer?.status).toBe(401);
  });

  it('CVE-2025-24976: is not replaced by a token, whoever has signed it', async () => {
    const claims = {
      sub: 'ada',
      aud: 'registry',
      access: [{ type: 'repository', name: 'private', actions: ['*'] }],
    };
    for (const head of [
      { alg: 'none' },
      { alg: 'HS256', kid: '../../etc/passwd' },
      { alg: 'ES256', jwk: { kty: 'EC' } },
    ]) {
      expect(await statusWith(`Bearer ${tokenPart(head)}.${tokenPart(claims)}.`)).toBe(401);
    }
  });

  it('in a URL, a query or a second header does not count', async () => {
    const twice = `Authorization: ${basic('ada:wrong')}\r\nAuthorization: ${basic(ADA)}`;
    const answers = await Promise.all([
      server.raw(`GET /v2/ HTTP/1.1\r\nHost: ada:x@y\r\n\r\n`),
      server.raw(`GET /v2/?access_token=x&user=ada&password=x HTTP/1.1\r\nHost: x\r\n\r\n`),
      server.raw(`GET /v2/ HTTP/1.1\r\nHost: x\r\n${twice}\r\n\r\n`),
      server.raw(`GET /v2/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: ${basic(ADA)}\r\n\r\n`),
      server.raw(
        `GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Remote-User: ada\r\nX-Forwarded-User: ada\r\nRemote-User: ada\r\n\r\n`,
      ),
      server.raw(`GET /v2/ HTTP/1.1\r\nHost: x\r\nCookie: authorization=${basic(ADA)}\r\n\r\n`),
    ]);

    expect(answers.map((answer) => answer?.status)).toEqual(answers.map(() => 401));
  });
});

describe('a user name', () => {
  test.each([
    'ad',
    'ada2',
    'ADA',
    'Ada',
    ' ada',
    'ada ',
    'ada\0',
    'ada/../ada',
    'a*',
    'ada\nroot',
    '__proto__',
    'toString',
    '#',
  ])('Harbor #23675: is compared as a whole: %j is not ada', async (name) => {
    expect(await statusWith(basic(`${name}:${PASSWORDS['ada']}`))).toBe(401);
  });

  it('CVE-2026-4404: with a usual password lets nobody in', async () => {
    for (const text of [
      'admin:admin',
      'admin:Harbor12345',
      'root:root',
      'admin:',
      'admin:password',
      'ada:ada',
      'registry:registry',
    ]) {
      expect(await statusWith(basic(text))).toBe(401);
    }
  });

  it('CVE-2026-4404: is needed, or the server does not start', async () => {
    const config = join(server.folder, 'open.json');
    await writeFile(config, JSON.stringify({ storage: { driver: 'memory' }, auth: {} }));
    const { code, stderr } = await runToEnd(['serve', '--config', config]);

    expect([code, stderr]).toEqual([1, expect.stringContaining('nobody could use this registry')]);
  });

  it('CVE-2019-16097: cannot be given rights by a member that nobody knows', async () => {
    const config = join(server.folder, 'assigned.json');
    const auth = { anonymous: 'Pull', admin: true, basic: { htpasswdFiles: [htpasswd], sysadmin: ['ada'] } };
    await writeFile(config, JSON.stringify({ storage: { driver: 'memory' }, auth, __proto__: { x: 1 } }));
    const { code, stderr } = await runToEnd(['serve', '--config', config]);

    expect(code).toBe(1);
    expect(stderr).toContain('auth.admin');
    expect(stderr).toContain('auth.basic.sysadmin');
  });
});

describe('changes', () => {
  it('CVE-2025-23208: who was removed is refused, although his password was right a moment ago', async () => {
    expect(await statusWith(basic('spaces: a b '))).toBe(200);
    const { spaces: _, ...rest } = PASSWORDS;
    await replaceUsers(linesOf(rest), async () => (await statusWith(basic('spaces: a b '))) === 401);

    expect(await statusWith(basic(ADA))).toBe(200);
  });

  it('that hold a line in a line are refused as a whole, and everybody stays', async () => {
    const failures = 'registry_config_reload_failures_total{field="auth.basic.htpasswdFiles"}';
    const eve = `eve:${hashSync('e', 4)}`;
    const mallory = `mallory:${hashSync('m', 4)}`;
    for (const line of [
      `${eve}\r${mallory}`,
      `${eve}\u2028${mallory}`,
      `${eve}:${mallory}`,
      'mallory:plain',
      'mallory:',
    ]) {
      const before = await server.metric(failures);
      await replaceUsers(
        `${linesOf(PASSWORDS)}${line}\n`,
        async () => (await server.metric(failures)) > before,
      );

      const statuses = ['mallory:m', 'mallory:plain', 'mallory:', 'eve:e'].map((user) =>
        statusWith(basic(user)),
      );
      expect(await Promise.all(statuses)).toEqual([401, 401, 401, 401]);
      expect(await statusWith(basic(ADA))).toBe(200);
    }
  });

  it('that are right again are taken over', async () => {
    await replaceUsers(linesOf(PASSWORDS), async () => (await statusWith(basic('spaces: a b '))) === 200);

    expect(await statusWith(basic(ADA))).toBe(200);
  });
});

it('wrong credentials are not better with a right session, blob or name', async () => {
  for (const { target, call } of [...READS, ...(await writes())]) {
    expect(await statusWith(basic('ada:wrong'), call, target)).toBe(401);
  }
});

it('many wrong passwords at once are refused, some for later, and right ones that are remembered go on', async () => {
  expect(await statusWith(basic(ADA))).toBe(200);
  const wrong = Array.from({ length: 300 }, (_, index) => statusWith(basic(`nobody${index}:x`)));
  const right = Array.from({ length: 20 }, () => statusWith(basic(ADA)));

  expect(new Set(await Promise.all(right))).toEqual(new Set([200]));
  expect([...new Set(await Promise.all(wrong))].filter((status) => status !== 401 && status !== 429)).toEqual(
    [],
  );
});

it('CVE-2025-48374: no password, hash or header is in logs at debug level, metrics or answers', async () => {
  await statusWith(basic('ada:TYPED-WRONG'));
  await statusWith('Bearer TOKEN-OF-SOMEBODY');
  await statusWith(`Basic ${'TOO-LONG'.repeat(2000)}`);
  await server.raw(
    `GET /v2/?token=IN-THE-QUERY&_state=SESSION-SECRET HTTP/1.1\r\nHost: x\r\nCookie: IN-A-COOKIE\r\nConnection: close\r\n\r\n`,
  );
  await server.raw(
    `GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic('ada:BROKEN-HEAD')}\r\nnonsense\r\n\r\n`,
  );
  const hashes = (await readFile(htpasswd, 'utf8'))
    .split('\n')
    .map((line) => line.slice(line.indexOf(':') + 1));
  const secrets = [
    ...Object.values(PASSWORDS).filter((password) => password.length > 5),
    ...hashes.filter((hash) => hash !== ''),
    'TYPED-WRONG',
    'TOKEN-OF-SOMEBODY',
    'TOO-LONG',
    'IN-THE-QUERY',
    'SESSION-SECRET',
    'IN-A-COOKIE',
    'BROKEN-HEAD',
    ...[ADA, 'ada:TYPED-WRONG', 'ada:BROKEN-HEAD'].map((text) => Buffer.from(text).toString('base64')),
  ];
  const verbose = await server.call(`${server.registry.opsUrl}/readyz?verbose`);
  const denied = await server.call('/v2/', { user: 'ada:TYPED-WRONG' });
  const shown = [
    server.registry.process.log(),
    await server.metrics(),
    verbose.body.toString(),
    denied.body.toString(),
  ];

  for (const secret of secrets) expect(shown.some((text) => text.includes(secret))).toBe(false);
  expect(server.log().some(({ user }) => user === 'ada')).toBe(true);
});

it('is as healthy as before', async () => {
  expect(await server.problems(({ field }) => field === 'auth.basic.htpasswdFiles')).toEqual([]);
});
