import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { blobTransfers, digestOfTag } from './checks.ts';
import { type Client, clientOf } from './client.ts';
import { makeImage, type TestImage } from './image.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

const NAME = 'podman.test/image:v1';

let workshop: Workshop;
let image: TestImage;
let server: Server;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, NAME);
  server = await workshop.start({ anonymous: 'Pull' });
  await mkdir(join(workshop.folder, 'containers'));
  await configure(workshop.folder);
});

afterAll(async () => {
  await tool('podman')('system', 'reset', '--force').catch(() => undefined);
  await workshop?.[Symbol.asyncDispose]();
});

/** Configuration and storage of their own, so that those of the machine are neither read nor written. */
async function configure(folder: string): Promise<void> {
  const own = join(folder, 'containers');
  const files = {
    'registries.conf': 'unqualified-search-registries = []\n',
    'containers.conf': `[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\ntmp_dir = "${own}/tmp"\n`,
    'storage.conf': `[storage]\ndriver = "vfs"\ngraphroot = "${own}/root"\nrunroot = "${own}/run"\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(own, name), text);
}

/** @param env that of the user, who is logged in, unless set */
function tool(name: 'podman' | 'buildah', env = server.user): Client {
  const own = join(workshop.folder, 'containers');
  return clientOf(name, {
    ...env,
    CONTAINERS_REGISTRIES_CONF: join(own, 'registries.conf'),
    CONTAINERS_CONF: join(own, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(own, 'storage.conf'),
    XDG_RUNTIME_DIR: own,
  });
}

/** A tool that may log in without changing what the others have. */
async function strangerTool(name: 'podman' | 'buildah'): Promise<Client> {
  const logins = join(workshop.folder, `${name}.json`);
  await writeFile(logins, '{}');
  return tool(name, { ...server.stranger, REGISTRY_AUTH_FILE: logins });
}

/** The digests of the manifests in an index that a repository has. */
async function childrenOf(repository: string): Promise<string[]> {
  const { body } = await server.call(`/v2/${repository}/manifests/v1`);
  const { manifests } = JSON.parse(body.toString()) as { manifests: { digest: string }[] };
  return manifests.map(({ digest }) => digest);
}

describe('podman', () => {
  it('logs in, pushes in both formats, lists, and pulls the same image again', async () => {
    const podman = await strangerTool('podman');
    const name = `${server.host}/podman/formats`;
    await podman('load', '--input', image.archive);
    await podman('tag', NAME, `${name}:v1`);

    await expect(podman('push', `${name}:v1`)).rejects.toThrow(/unauthorized|authentication required/);
    await expect(podman('login', '-u', USER, '-p', 'wrong', server.host)).rejects.toThrow(
      'invalid username/password',
    );
    await podman('login', '-u', USER, '-p', PASSWORD, server.host);
    for (const format of ['oci', 'v2s2'])
      await podman('push', '--format', format, `${name}:v1`, `${name}:${format}`);
    await podman('logout', server.host);
    await podman('rmi', '--force', NAME, `${name}:v1`);
    await podman('pull', `${name}:oci`);
    await podman('pull', `${name}@${await digestOfTag(server, 'podman/formats', 'v2s2')}`);

    const ids = [`${name}:oci`, `${name}@${await digestOfTag(server, 'podman/formats', 'v2s2')}`];
    for (const id of ids)
      expect(`sha256:${await podman('inspect', '--format', '{{.Id}}', id)}`).toBe(image.config);
    const listed = await podman('search', '--list-tags', name);
    expect(listed.split('\n').map((line) => line.split(/\s+/)[1])).toEqual(['TAG', 'oci', 'v2s2']);
    expect(await podman('search', '--format', '{{.Name}}', `${server.host}/podman`)).toContain(name);
    await podman('rmi', '--all', '--force');
  });

  it('pushes an index for two architectures and pulls each of them', async () => {
    const podman = tool('podman');
    const name = `${server.host}/podman/multi:v1`;

    await podman('manifest', 'create', name);
    await podman('manifest', 'add', '--all', name, `oci-archive:${image.archive}`);
    await podman('manifest', 'push', '--all', name, `docker://${name}`);
    await podman('rmi', '--all', '--force');

    expect(await childrenOf('podman/multi')).toHaveLength(2);
    for (const architecture of ['arm64', 'amd64']) {
      await podman('pull', '--arch', architecture, name);
      expect(await podman('inspect', '--format', '{{.Architecture}}', name)).toBe(architecture);
    }
    await podman('rmi', '--all', '--force');
  });

  it('copies to another repository by mounting the layers', async () => {
    const podman = tool('podman');
    const [one, two] = ['one', 'two'].map((name) => `${server.host}/podman/copy/${name}:v1`) as [
      string,
      string,
    ];
    await podman('load', '--input', image.archive);
    await podman('push', NAME, one);

    await podman('push', NAME, two);

    expect(await digestOfTag(server, 'podman/copy/two', 'v1')).toBe(
      await digestOfTag(server, 'podman/copy/one', 'v1'),
    );
    expect(blobTransfers(server, 'podman/copy/two')).toEqual({ mounted: 2, uploaded: 1 });
    await podman('rmi', '--all', '--force');
  });
});

describe('buildah', () => {
  it('builds an image, pushes it, builds on what it pulls, and pulls without a login', async () => {
    const buildah = tool('buildah');
    const context = join(workshop.folder, 'context');
    await mkdir(context);
    const text = randomBytes(1000).toString('hex');
    await writeFile(join(context, 'file'), text);
    const [base, child] = [`${server.host}/buildah/base:v1`, `${server.host}/buildah/child:v1`];

    const container = await buildah('from', 'scratch');
    await buildah('copy', container, join(context, 'file'), '/one');
    await buildah('commit', '--rm', container, base);
    await buildah('push', '--digestfile', join(workshop.folder, 'digest'), base);
    await buildah('rmi', '--all', '--force');
    await writeFile(join(context, 'Containerfile'), `FROM ${base}\nCOPY file /two\n`);
    await buildah('build', '--tag', child, context);
    await buildah('push', child);
    await buildah('rmi', '--all', '--force');

    const stranger = tool('buildah', server.stranger);
    const pulled = await stranger('from', child);
    const root = await stranger('mount', pulled);
    for (const file of ['one', 'two']) expect(await readFile(join(root, file), 'utf8')).toBe(text);
    expect(await readFile(join(workshop.folder, 'digest'), 'utf8')).toBe(
      await digestOfTag(server, 'buildah/base', 'v1'),
    );
    await stranger('umount', pulled);
    await stranger('rm', '--all');
    await stranger('rmi', '--all', '--force');
  });

  it('pushes an index for two architectures as it is', async () => {
    const buildah = tool('buildah');
    const name = `${server.host}/buildah/multi:v1`;

    await buildah('manifest', 'create', 'both');
    await buildah('manifest', 'add', '--all', 'both', `oci-archive:${image.archive}`);
    await buildah('manifest', 'push', '--all', 'both', `docker://${name}`);
    await buildah('rmi', '--all', '--force');
    await buildah('pull', name);

    expect(await childrenOf('buildah/multi')).toHaveLength(2);
    expect(await buildah('inspect', '--type', 'image', '--format', '{{.FromImageID}}', name)).toBe(
      image.config.replace('sha256:', ''),
    );
    await buildah('rmi', '--all', '--force');
  });

  it('logs in only with the right password', async () => {
    const buildah = await strangerTool('buildah');

    await expect(buildah('login', '-u', USER, '-p', 'wrong', server.host)).rejects.toThrow(
      'invalid username/password',
    );
    await buildah('login', '-u', USER, '-p', PASSWORD, server.host);
    expect(await buildah('login', '--get-login', server.host)).toBe(USER);
    await buildah('logout', server.host);
  });
});
