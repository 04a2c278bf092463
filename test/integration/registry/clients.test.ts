import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import { command } from '../../cluster/command.ts';
import { writeStaticImage } from '../../cluster/static-image.ts';
import { toolPath } from '../../helpers/tools.ts';
import { type Docker, startDocker } from '../../servers/docker.ts';
import { startRegistry, type TestRegistry } from './registry-process.ts';

const IMAGE = 'clients.test/image:v1';
const PASSWORD = 'sec:ret';
const MODES = ['None', 'Pull', 'PullPush'] as const;

type Mode = (typeof MODES)[number];

/** A server with TLS and the user ada, and how clients reach it. */
interface Target {
  readonly registry: TestRegistry;
  readonly host: string;
  /** Nobody is logged in. */
  readonly stranger: NodeJS.ProcessEnv;
  readonly ada: NodeJS.ProcessEnv;
}

let folder: string;
let archive: string;
let certificates: { certificateFile: string; keyFile: string };
let authority: string;
let docker: Docker;
const targets = new Map<Mode, Target>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clients-'));
  archive = join(folder, 'image.tar');
  await writeFile(join(folder, 'program'), randomBytes(3 << 20), { mode: 0o755 });
  await writeStaticImage(archive, IMAGE, join(folder, 'program'));
  await writeCertificates();
  for (const mode of MODES) targets.set(mode, await startTarget(mode));
  docker = await startDocker();
});

afterAll(async () => {
  await docker?.[Symbol.asyncDispose]();
  for (const { registry } of targets.values()) await registry.process.stop();
  await rm(folder, { recursive: true, force: true });
});

async function writeCertificates(): Promise<void> {
  const issue = { now: new Date(), randomBytes: (size: number) => randomBytes(size) };
  const made = await createAuthority('test', issue);
  const leaf = await issueCertificate(made, { commonName: 'registry', names: ['127.0.0.1'] }, issue);
  authority = made.certificate;
  certificates = { certificateFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
  await writeFile(certificates.certificateFile, leaf.certificate);
  await writeFile(certificates.keyFile, leaf.key);
  await writeFile(join(folder, 'ca.crt'), authority);
  await writeFile(join(folder, 'htpasswd'), `ada:${hashSync(PASSWORD, 4)}\n`);
}

async function startTarget(mode: Mode): Promise<Target> {
  const own = join(folder, mode);
  await mkdir(own);
  const config: RegistryConfigInput = {
    storage: { driver: 'filesystem', rootDirectory: join(own, 'data') },
    http: { tls: certificates },
    auth: { basic: { htpasswdFiles: [join(folder, 'htpasswd')] }, anonymous: mode },
  };
  const registry = await startRegistry({ folder: own, config, ca: authority });
  const { host } = new URL(registry.url);
  const auth = Buffer.from(`ada:${PASSWORD}`).toString('base64');
  return {
    registry,
    host,
    stranger: await environment(join(own, 'stranger'), {}),
    ada: await environment(join(own, 'ada'), { [host]: { auth } }),
  };
}

/** Where crane, oras, docker and skopeo look for the CA and for logins. */
async function environment(config: string, auths: object): Promise<NodeJS.ProcessEnv> {
  await mkdir(config);
  await writeFile(join(config, 'config.json'), JSON.stringify({ auths }));
  return {
    ...process.env,
    DOCKER_CONFIG: config,
    REGISTRY_AUTH_FILE: join(config, 'config.json'),
    SSL_CERT_FILE: join(folder, 'ca.crt'),
  };
}

function target(mode: Mode): Target {
  const found = targets.get(mode);
  if (!found) throw new Error(`no server for ${mode}`);
  return found;
}

type Run = (...args: string[]) => Promise<string>;

function tool(name: string, env: NodeJS.ProcessEnv): Run {
  return async (...args) => (await command(toolPath(name), args, { env })).trim();
}

async function isAllowed(run: Promise<string>): Promise<boolean> {
  try {
    await run;
    return true;
  } catch (error) {
    if (error instanceof Error && /UNAUTHORIZED|401/.test(error.message)) return false;
    throw error;
  }
}

describe('crane', () => {
  it('pushes, copies, lists, pulls and deletes', async () => {
    const { host, ada } = target('None');
    const crane = tool('crane', ada);

    await crane('push', archive, `${host}/crane/one:v1`);
    await crane('copy', `${host}/crane/one:v1`, `${host}/crane/two/deep:v1`);
    await crane('tag', `${host}/crane/one:v1`, 'v2');
    await crane('validate', '--remote', `${host}/crane/two/deep:v1`);

    expect(await crane('ls', `${host}/crane/one`)).toBe('v1\nv2');
    expect(await crane('catalog', host)).toContain('crane/one\ncrane/two/deep');
    const digest = await crane('digest', `${host}/crane/one:v2`);
    expect(await crane('digest', `${host}/crane/two/deep:v1`)).toBe(digest);
    await crane('delete', `${host}/crane/one:v1`);
    expect(await crane('ls', `${host}/crane/one`)).toBe('v2');
    await crane('delete', `${host}/crane/one@${digest}`);
    await expect(crane('digest', `${host}/crane/one:v2`)).rejects.toThrow('MANIFEST_UNKNOWN');
    await crane('validate', '--remote', `${host}/crane/two/deep:v1`);
  });

  it.each([
    ['None', { pull: false, push: false }],
    ['Pull', { pull: true, push: false }],
    ['PullPush', { pull: true, push: true }],
  ] as const)('without a login may do what %s says', async (mode, { pull, push }) => {
    const { host, ada, stranger } = target(mode);
    await tool('crane', ada)('push', archive, `${host}/rights/image:v1`);
    const crane = tool('crane', stranger);

    expect({
      pull: await isAllowed(crane('manifest', `${host}/rights/image:v1`)),
      push: await isAllowed(crane('push', archive, `${host}/rights/image:v2`)),
    }).toEqual({ pull, push });
    await expect(crane('delete', `${host}/rights/image:v1`)).rejects.toThrow(/UNAUTHORIZED|401/);
  });
});

describe('skopeo', () => {
  it('copies in every form, inspects, lists and deletes', async () => {
    const { host, ada, stranger } = target('Pull');
    const skopeo = tool('skopeo', ada);
    const source = `docker-archive:${archive}`;

    await skopeo('copy', '--format', 'oci', source, `docker://${host}/skopeo/oci:v1`);
    await skopeo('copy', '--format', 'v2s2', source, `docker://${host}/skopeo/docker:v1`);
    await skopeo('copy', '--all', `docker://${host}/skopeo/oci:v1`, `docker://${host}/skopeo/copy:v1`);

    const pulled = join(folder, 'pulled');
    await tool('skopeo', stranger)('copy', `docker://${host}/skopeo/copy:v1`, `dir:${pulled}`);
    const manifest = await readFile(join(pulled, 'manifest.json'), 'utf8');
    expect(await skopeo('inspect', '--raw', `docker://${host}/skopeo/oci:v1`)).toBe(manifest.trim());
    expect(JSON.parse(await skopeo('list-tags', `docker://${host}/skopeo/docker`))).toMatchObject({
      Tags: ['v1'],
    });
    await skopeo('delete', `docker://${host}/skopeo/oci:v1`);
    await expect(skopeo('inspect', `docker://${host}/skopeo/oci:v1`)).rejects.toThrow('manifest unknown');
  });
});

describe('oras', () => {
  it('pushes an artifact, attaches to it, copies both, pulls and deletes', async () => {
    const { host, ada, stranger } = target('Pull');
    const oras = tool('oras', ada);
    const file = join(folder, 'artifact.bin');
    const bytes = randomBytes(100_000);
    await writeFile(file, bytes);
    const push = ['--disable-path-validation', '--artifact-type', 'application/vnd.test'];

    await oras('push', ...push, `${host}/oras/one:v1`, `${file}:application/octet-stream`);
    await oras('attach', ...push, `${host}/oras/one:v1`, `${file}:application/vnd.test.signature`);
    await oras('cp', '--recursive', `${host}/oras/one:v1`, `${host}/oras/two:v1`);

    const reader = tool('oras', stranger);
    await rm(file);
    await reader('pull', '--allow-path-traversal', '-o', folder, `${host}/oras/two:v1`);
    expect(await reader('repo', 'ls', host)).toContain('oras/one\noras/two');
    expect(await reader('repo', 'tags', `${host}/oras/two`)).toContain('v1');
    expect(await reader('discover', '--format', 'json', `${host}/oras/two:v1`)).toContain(
      'application/vnd.test',
    );
    expect((await readFile(file)).equals(bytes)).toBe(true);
    await oras('manifest', 'delete', '--force', `${host}/oras/two:v1`);
    await expect(oras('resolve', `${host}/oras/two:v1`)).rejects.toThrow('not found');
  });
});

describe('docker', () => {
  it.each(['None', 'Pull'] as const)(
    'logs in, pushes, mounts and pulls where strangers may %s',
    async (mode) => {
      const { host, stranger } = target(mode);
      const config = join(folder, `docker-${mode}`);
      const client = tool('docker', { ...stranger, DOCKER_HOST: docker.host, DOCKER_CONFIG: config });
      const image = `${host}/docker/one:v1`;
      const other = `${host}/docker/two:v1`;
      await client('load', '--quiet', '--input', archive);
      for (const name of [image, other]) await client('tag', IMAGE, name);

      await expect(client('login', '-u', 'ada', '-p', 'wrong', host)).rejects.toThrow(/401|unauthorized/i);
      await expect(client('push', image)).rejects.toThrow(/no basic auth credentials|unauthorized/);
      await client('login', '-u', 'ada', '-p', PASSWORD, host);
      expect(await client('push', image)).toContain('Pushed');
      expect(await client('push', other)).toContain('Mounted from docker/one');
      expect(await client('push', image)).toContain('Layer already exists');

      await client('rmi', IMAGE, image, other);
      expect(await client('pull', other)).toContain('Downloaded newer image');
      await client('rmi', other);
    },
  );
});
