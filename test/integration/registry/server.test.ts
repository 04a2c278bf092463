import { execFileSync } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { access, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type SecureVersion } from 'node:tls';

import { hashSync } from 'bcryptjs';
import { describe, expect, it, vi } from 'vitest';

import { loadedHash, reloadedFiles } from '../../../src/api/loaded-hash.ts';
import { RegistryConfig, type RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { createAuthority, type IssueOptions } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import { indexesCompleteKey } from '../../../src/registry/distribution/layout.ts';
import { toolPath } from '../../helpers/tools.ts';
import type { Call, TestRegistry } from '../../servers/registry.ts';
import { sha256 } from './content.ts';
import { useOwnServers } from './own-servers.ts';

const ISSUE: IssueOptions = { now: new Date(), randomBytes };
const RELOAD = { timeout: 15_000, interval: 50 };

const servers = useOwnServers();

/** A folder as kubelet mounts a Secret: files are links through `..data`, which is swapped as a whole. */
async function mountSecret(name: string, files: Record<string, string>): Promise<void> {
  const mount = join(servers.folder, name);
  const version = `..${randomBytes(4).toString('hex')}`;
  await mkdir(join(mount, version), { recursive: true });
  for (const [file, content] of Object.entries(files)) {
    await writeFile(join(mount, version, file), content);
    await symlink(join('..data', file), join(mount, file)).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }
  await symlink(version, join(mount, '..data_tmp'));
  await rename(join(mount, '..data_tmp'), join(mount, '..data'));
}

async function verbose(registry: TestRegistry): Promise<Record<string, unknown>> {
  const answer = await fetch(`${registry.opsUrl}/readyz?verbose`);
  return (await answer.json()) as Record<string, unknown>;
}

async function metrics(registry: TestRegistry): Promise<string> {
  return (await fetch(`${registry.opsUrl}/metrics`)).text();
}

/** The certificate that a new connection gets. */
async function servedCertificate(
  registry: TestRegistry,
  ca: string,
  maxVersion: SecureVersion = 'TLSv1.3',
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { hostname, port } = new URL(registry.url);
  const socket = connect(
    { host: hostname, port: Number(port), ca, maxVersion, ALPNProtocols: ['h2', 'http/1.1'] },
    () => {
      const { raw } = socket.getPeerCertificate();
      expect(socket.alpnProtocol).toBe('http/1.1');
      socket.destroy();
      resolve(new X509Certificate(raw).fingerprint256.replaceAll(':', '').toLowerCase());
    },
  );
  socket.on('error', reject);
  return promise;
}

function statusOf(registry: TestRegistry, target: string, call?: Call): Promise<number> {
  return registry.call(target, call).then(({ status }) => status);
}

async function startSecured(tls: { minVersion?: 'TLS12' | 'TLS13' } = {}) {
  const authority = await createAuthority('test', ISSUE);
  const leaf = () => issueCertificate(authority, { commonName: 'registry', names: ['127.0.0.1'] }, ISSUE);
  const first = await leaf();
  await mountSecret('tls', { 'tls.crt': first.certificate, 'tls.key': first.key });
  await mountSecret('auth', { htpasswd: `ada:${hashSync('sec:ret-ä', 4)}\n` });
  const { folder } = servers;
  const registry = await servers.start(
    {
      http: {
        tls: { certificateFile: join(folder, 'tls/tls.crt'), keyFile: join(folder, 'tls/tls.key'), ...tls },
      },
      auth: { basic: { htpasswdFiles: [join(folder, 'auth/htpasswd')], realm: 'test' } },
    },
    authority.certificate,
  );
  return { registry, authority, leaf };
}

function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
}

describe('with TLS and users', () => {
  const ada = 'ada:sec:ret-ä';

  it('lets users in and asks everybody else for a password', async () => {
    const { registry } = await startSecured();
    const blob = randomBytes(5000);
    const target = `/v2/a/blobs/uploads/?digest=${sha256(blob)}`;

    const anonymous = await registry.call('/v2/');
    expect(anonymous.status).toBe(401);
    expect(anonymous.headers['www-authenticate']).toBe('Basic realm="test"');
    expect(anonymous.json()).toEqual({
      errors: [{ code: 'UNAUTHORIZED', message: 'authentication required' }],
    });
    expect(await statusOf(registry, '/v2/', { user: 'ada:wrong' })).toBe(401);
    expect(await statusOf(registry, '/v2/', { user: 'eve:sec:ret-ä' })).toBe(401);
    expect(await statusOf(registry, target, { method: 'POST', body: blob })).toBe(401);
    expect(await statusOf(registry, '/v2/_catalog')).toBe(401);

    expect(await statusOf(registry, '/v2/', { user: ada })).toBe(200);
    expect(await statusOf(registry, target, { method: 'POST', body: blob, user: ada })).toBe(201);
    const pulled = await registry.call(`/v2/a/blobs/${sha256(blob)}`, { user: ada });
    expect(pulled.body.equals(blob)).toBe(true);
    expect(await statusOf(registry, `/v2/a/blobs/${sha256(blob)}`, { method: 'DELETE', user: ada })).toBe(
      202,
    );
  });

  it('logs one line for a request, with the user and without the password', async () => {
    const { registry } = await startSecured();
    const { host } = new URL(registry.url);
    await registry.call(`/v2/?ns=${host}`, {
      user: ada,
      headers: { 'user-agent': 'test/1', 'x-request-id': 'id-1' },
    });
    await registry.call('/v2/', { user: 'ada:wrong' });

    const lines = await vi.waitFor(() => {
      const found = registry.process
        .log()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter((line) => line['msg'] === 'request');
      expect(found).toHaveLength(2);
      return found;
    });
    expect(lines[0]).toMatchObject({
      level: 'info',
      requestId: 'id-1',
      method: 'GET',
      path: '/v2/',
      status: 200,
      bytes: 2,
      remoteAddress: '127.0.0.1',
      user: 'ada',
      userAgent: 'test/1',
      ns: host,
    });
    expect(lines[1]).toMatchObject({ status: 401, error: 'UNAUTHORIZED' });
    expect(lines[1]).not.toHaveProperty('user');
    const log = registry.process.log();
    for (const secret of ['sec:ret', 'wrong', Buffer.from(ada).toString('base64')]) {
      expect(log).not.toContain(secret);
    }
  });

  it('takes over new users while it runs', async () => {
    const { registry } = await startSecured();
    const before = await verbose(registry);

    await mountSecret('auth', { htpasswd: `bob:${hashSync('new', 4)}\n` });

    await vi.waitFor(
      async () => expect(await statusOf(registry, '/v2/', { user: 'bob:new' })).toBe(200),
      RELOAD,
    );
    expect(await statusOf(registry, '/v2/', { user: ada })).toBe(401);
    const after = await verbose(registry);
    expect(after['loadedHash']).not.toBe(before['loadedHash']);
  });

  it('takes over a new certificate while it runs, and keeps the old one when the new is no pair', async () => {
    const { registry, authority, leaf } = await startSecured();
    const [second, third] = [await leaf(), await leaf()];
    const before = await verbose(registry);

    await mountSecret('tls', { 'tls.crt': second.certificate, 'tls.key': third.key });
    await vi.waitFor(async () => {
      expect(await metrics(registry)).toContain('registry_config_reload_failures_total{field="http.tls"} 1');
    }, RELOAD);
    expect(await servedCertificate(registry, authority.certificate)).not.toBe(
      fingerprintOf(second.certificate),
    );
    expect(await verbose(registry)).toEqual(before);
    expect(registry.process.log()).toContain('the key does not belong to the certificate');

    await mountSecret('tls', { 'tls.crt': second.certificate, 'tls.key': second.key });
    await vi.waitFor(async () => {
      const served = await servedCertificate(registry, authority.certificate);
      expect(served).toBe(fingerprintOf(second.certificate));
    }, RELOAD);
    expect((await verbose(registry))['certificate']).toEqual({
      sha256Fingerprint: fingerprintOf(second.certificate),
      notAfter: new Date(new X509Certificate(second.certificate).validTo).toISOString(),
    });
    expect(await metrics(registry)).toContain(
      `registry_tls_certificate_not_after_seconds ${Date.parse(new X509Certificate(second.certificate).validTo) / 1000}`,
    );
  });

  it('refuses versions below the lowest that is configured, also after a renewal', async () => {
    const { registry, authority, leaf } = await startSecured({ minVersion: 'TLS13' });
    const ask = (version?: SecureVersion) => servedCertificate(registry, authority.certificate, version);
    await expect(ask('TLSv1.2')).rejects.toThrow(/protocol version/);

    const second = await leaf();
    await mountSecret('tls', { 'tls.crt': second.certificate, 'tls.key': second.key });
    await vi.waitFor(async () => expect(await ask()).toBe(fingerprintOf(second.certificate)), RELOAD);

    await expect(ask('TLSv1.2')).rejects.toThrow(/protocol version/);
  });

  it('names what it has loaded by the same hash as the operator', async () => {
    const { registry } = await startSecured();
    const bytes = await readFile(registry.configFile);
    const config = RegistryConfig.parse(JSON.parse(bytes.toString()));
    const files = new Map<string, Uint8Array>();
    for (const path of reloadedFiles(config)) files.set(path, await readFile(path));

    expect(await verbose(registry)).toMatchObject({
      status: 'ready',
      loadedHash: loadedHash(bytes, files),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as string,
    });
  });
});

describe('with a file that changes', () => {
  it('takes over rules, hosts and the log without a restart', async () => {
    const registry = await servers.start();
    const upload = { method: 'POST' };
    expect(await statusOf(registry, '/v2/a/blobs/uploads/', upload)).toBe(202);
    const config = JSON.parse(await readFile(registry.configFile, 'utf8')) as RegistryConfigInput;

    await writeFile(
      registry.configFile,
      JSON.stringify({
        ...config,
        auth: { anonymous: 'Pull' },
        http: { ...config.http, hosts: ['mirror.example'] },
        logging: { requests: 'Failed' },
      }),
    );

    await vi.waitFor(async () => {
      expect(await statusOf(registry, '/v2/a/blobs/uploads/', upload)).toBe(403);
    }, RELOAD);
    const answer = await registry.call('/v2/a/tags/list?ns=mirror.example', {
      headers: { 'x-request-id': 'ns-1' },
    });
    expect(answer.json()).not.toMatchObject({
      errors: [{ message: expect.stringContaining('mirror') as string }],
    });
    await registry.call('/v2/', { headers: { 'x-request-id': 'quiet-1' } });
    expect(registry.process.log()).not.toContain('quiet-1');
  });
});

describe('metrics', () => {
  it('count requests by endpoint and never by a name that a client chose', async () => {
    const registry = await servers.start();
    await registry.call('/v2/secret-name/manifests/secret-tag');
    await registry.call('/secret-path');
    await registry.call('/v2/', { method: 'PROPFIND' });
    const blob = randomBytes(3000);
    await registry.call(`/v2/a/blobs/uploads/?digest=${sha256(blob)}`, { method: 'POST', body: blob });
    await registry.call(`/v2/a/blobs/${sha256(blob)}`);

    const text = await vi.waitFor(async () => {
      const body = await metrics(registry);
      expect(body).toContain('registry_http_requests_total{handler="blob",method="GET",code="200"} 1');
      return body;
    });

    expect(text).toContain('registry_http_requests_total{handler="manifest",method="GET",code="404"} 1');
    expect(text).toContain('registry_http_requests_total{handler="unknown",method="GET",code="404"} 1');
    expect(text).toContain('registry_http_requests_total{handler="unknown",method="other",code="405"} 1');
    expect(text).toContain('registry_http_request_size_bytes_sum{handler="blob_upload"} 3000');
    expect(text).toContain('registry_http_response_size_bytes_sum{handler="blob"} 3000');
    expect(text).toContain('registry_http_in_flight_requests{handler="blob"} 0');
    expect(text).toMatch(/registry_storage_action_seconds_count\{driver="filesystem",action="Stat"\} \d+/);
    expect(text).not.toContain('secret');
  });

  it('follow the rules of Prometheus', async () => {
    const registry = await servers.start();
    await registry.call('/v2/');

    const output = execFileSync(toolPath('promtool'), ['check', 'metrics'], {
      input: await metrics(registry),
    });

    expect(output.toString()).toBe('');
  });
});

describe('health', () => {
  it('is not ready while the storage cannot be used, and alive all the same', async () => {
    const registry = await servers.start();
    // What the server does in the background right after its start would make the folder anew.
    const compared = join(servers.folder, 'data', indexesCompleteKey());
    await vi.waitFor(() => access(compared), { timeout: 30_000, interval: 50 });
    await rename(join(servers.folder, 'data'), join(servers.folder, 'gone'));

    expect((await fetch(`${registry.opsUrl}/readyz`)).status).toBe(503);
    expect(await verbose(registry)).toMatchObject({ status: 'unready' });
    expect((await fetch(`${registry.opsUrl}/livez`)).status).toBe(200);
    expect((await fetch(`${registry.opsUrl}/other`)).status).toBe(404);
    expect((await fetch(`${registry.opsUrl}/livez`, { method: 'POST' })).status).toBe(405);

    await rename(join(servers.folder, 'gone'), join(servers.folder, 'data'));
    expect((await fetch(`${registry.opsUrl}/readyz`)).status).toBe(200);
  });
});

describe('passwords', () => {
  it('in a file that is not there are missed in the log, until it comes', async () => {
    const path = join(servers.folder, 'users');
    const registry = await servers.start({ auth: { basic: { htpasswdFiles: [path] } } });

    expect(await statusOf(registry, '/v2/', { user: 'ada:right' })).toBe(401);
    const log = await readFile(join(servers.folder, 'registry.log'), 'utf8');
    const warning = log.split('\n').find((line) => line.includes('no users are in the htpasswd file'));
    expect(warning && JSON.parse(warning)).toMatchObject({ level: 'warn', path });

    await writeFile(path, `ada:${hashSync('right', 4)}\n`);
    await expect.poll(() => statusOf(registry, '/v2/', { user: 'ada:right' }), RELOAD).toBe(200);
  });

  it('are refused with 429 when too many wait to be checked', async () => {
    const path = join(servers.folder, 'users');
    await writeFile(path, `ada:${hashSync('right', 7)}\n`);
    const registry = await servers.start({ auth: { basic: { htpasswdFiles: [path] } } });

    const answers = await Promise.all(
      Array.from({ length: 120 }, (_, index) => registry.call('/v2/', { user: `ada:wrong-${index}` })),
    );

    const busy = answers.filter(({ status }) => status === 429);
    expect(busy.length).toBeGreaterThan(0);
    expect(busy[0]?.headers['retry-after']).toMatch(/^\d+$/);
    expect(answers.every(({ status }) => status === 429 || status === 401)).toBe(true);
    expect(await statusOf(registry, '/v2/', { user: 'ada:right' })).toBe(200);
  });
});
