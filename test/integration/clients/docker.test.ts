import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Docker, startDocker } from '../../servers/docker.ts';
import { blobTransfers, digestOfTag } from './checks.ts';
import { type Client, clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

const NAME = 'docker.test/image:v1';
/** What docker makes of an image: the configuration and two layers. */
const BLOBS = 3;

let workshop: Workshop;
let image: TestImage;
let docker: Docker;
const servers = new Map<string, Server>();

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, NAME);
  for (const anonymous of ['None', 'Pull'] as const)
    servers.set(anonymous, await workshop.start({ anonymous }));
  docker = await startDocker();
  await clientOf('docker', { ...process.env, DOCKER_HOST: docker.host })(
    'load',
    '--quiet',
    '--input',
    image.archive,
  );
});

afterAll(async () => {
  await clientOf('docker', { ...process.env, DOCKER_HOST: docker?.host })('rmi', NAME).catch(() => undefined);
  await docker?.[Symbol.asyncDispose]();
  await workshop?.[Symbol.asyncDispose]();
});

function serverOf(mode: string): Server {
  const server = servers.get(mode);
  if (!server) throw new Error(`no server for ${mode}`);
  return server;
}

/** @param config folder below that of the workshop, which keeps the login */
function client({ stranger }: Server, config: string): Client {
  return clientOf('docker', {
    ...stranger,
    DOCKER_HOST: docker.host,
    DOCKER_CONFIG: join(workshop.folder, config),
    DOCKER_CLI_EXPERIMENTAL: 'enabled',
  });
}

describe.each(['None', 'Pull'] as const)('docker where strangers may %s', (mode) => {
  it('logs in, pushes, mounts, and pulls the same image again', async () => {
    const server = serverOf(mode);
    const run = client(server, `login-${mode}`);
    const [one, two] = [`${server.host}/docker/one:v1`, `${server.host}/docker/two/deep:v1`];
    for (const name of [one, two]) await run('tag', NAME, name);

    await expect(run('login', '-u', USER, '-p', 'wrong', server.host)).rejects.toThrow(/401|unauthorized/i);
    await expect(run('push', one)).rejects.toThrow(/no basic auth credentials|unauthorized/);
    await run('login', '-u', USER, '-p', PASSWORD, server.host);
    const pushed = await run('push', one);
    expect(await run('push', two)).toContain('Mounted from docker/one');
    expect(await run('push', one)).toContain('Layer already exists');
    await run('rmi', one, two);
    const pulled = await run('pull', two);

    const digest = await digestOfTag(server, 'docker/two/deep', 'v1');
    expect(pushed).toContain(`digest: ${digest}`);
    expect(pulled).toContain(`Digest: ${digest}`);
    // The configuration is a file of the image, so the same one means the same image.
    expect(await run('inspect', '--format', '{{.Id}}', two)).toBe(image.config);
    expect(blobTransfers(server, 'docker/two/deep')).toEqual({ mounted: BLOBS - 1, uploaded: 1 });
    await run('rmi', two);
  });

  it('pulls what others pushed for two architectures, by tag and by digest', async () => {
    const server = serverOf(mode);
    const run = client(server, `multi-${mode}`);
    const name = `${server.host}/docker/multi`;
    const source = `ocidir://${image.layoutFolder}:${LAYOUT_TAG}`;
    await clientOf('regctl', server.user)('image', 'copy', source, `${name}:v1`);
    await run('login', '-u', USER, '-p', PASSWORD, server.host);

    expect(await run('pull', `${name}:v1`)).toContain(`Digest: ${image.index}`);
    await run('pull', `${name}@${image.manifest}`);

    expect(await run('inspect', '--format', '{{.Id}}', `${name}:v1`)).toBe(image.config);
    expect(await run('inspect', '--format', '{{.Id}}', `${name}@${image.manifest}`)).toBe(image.config);
    await run('rmi', `${name}:v1`);
  });
});

describe('docker', () => {
  it('makes a list of images for several architectures, and pulls by it', async () => {
    // This command of docker knows no other way than HTTP to a registry on the loopback interface.
    const server = await workshop.start({ plain: true });
    const run = client(server, 'list');
    const name = `${server.host}/docker/list`;
    await run('login', '-u', USER, '-p', PASSWORD, server.host);
    for (const architecture of ['amd64', 'arm64']) {
      await run('tag', NAME, `${name}:${architecture}`);
      await run('push', `${name}:${architecture}`);
    }

    await run('manifest', 'create', '--insecure', `${name}:all`, `${name}:amd64`, `${name}:arm64`);
    await run('manifest', 'annotate', `${name}:all`, `${name}:arm64`, '--arch', 'arm64');
    const digest = await run('manifest', 'push', '--insecure', `${name}:all`);

    const { headers } = await server.call(`/v2/docker/list/manifests/${digest}`);
    expect(headers['content-type']).toBe('application/vnd.docker.distribution.manifest.list.v2+json');
    expect(await run('pull', `${name}:all`)).toContain(`Digest: ${digest}`);
    await run('rmi', `${name}:all`, `${name}:amd64`, `${name}:arm64`);
  });
});
