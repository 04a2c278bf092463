import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Containerd, startContainerd } from '../../servers/containerd.ts';
import { blobTransfers, digestOfTag, missingParts } from './checks.ts';
import { type Client, clientOf } from './client.ts';
import { makeImage, type TestImage } from './image.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

const NAME = 'containerd.test/image:v1';
/** A name of the registry that exists only in the configuration of containerd and of the server. */
const MIRRORED = 'images.example.com';
const LOGIN = ['--user', `${USER}:${PASSWORD}`];
const SNAPSHOTS = ['--snapshotter', 'native'];

let workshop: Workshop;
let image: TestImage;
let server: Server;
let containerd: Containerd;
let ctr: Client;
/** Folder of `hosts.toml` files, as `config_path` of a node. */
let hosts: string[];

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, NAME);
  server = await workshop.start({ anonymous: 'Pull', hosts: [MIRRORED] });
  containerd = await startContainerd();
  ctr = clientOf('ctr', { ...process.env, CONTAINERD_ADDRESS: containerd.address }, 'images');
  hosts = ['--hosts-dir', join(workshop.folder, 'hosts')];
  for (const name of [server.host, MIRRORED, 'other.example.com']) await describeHost(name);
});

afterAll(async () => {
  await containerd?.[Symbol.asyncDispose]();
  await workshop?.[Symbol.asyncDispose]();
});

/** Tells containerd to go to our server for what has this name. */
async function describeHost(name: string): Promise<void> {
  const folder = join(workshop.folder, 'hosts', name);
  await mkdir(folder, { recursive: true });
  const host = `[host."https://${server.host}"]\n  capabilities = ["pull", "resolve", "push"]\n  ca = "${workshop.caFile}"\n`;
  await writeFile(join(folder, 'hosts.toml'), `server = "https://${server.host}"\n${host}`);
}

/** Name → digest of the images that containerd has. */
async function images(): Promise<Map<string, string>> {
  const [, ...lines] = (await ctr('list')).split('\n');
  return new Map(lines.map((line) => line.split(/\s+/)).map(([name = '', , digest = '']) => [name, digest]));
}

/** Forgets every image with its content, so that the next pull has to fetch all of it. */
async function forget(): Promise<void> {
  for (const name of (await images()).keys()) await ctr('remove', '--sync', name);
}

describe('containerd', () => {
  it('pushes and pulls an image for two architectures', async () => {
    const name = `${server.host}/containerd/one:v1`;
    await ctr('import', '--all-platforms', ...SNAPSHOTS, image.archive);
    await ctr('tag', NAME, name);

    await expect(ctr('push', ...hosts, name)).rejects.toThrow(/401|unauthorized|authorization/i);
    await ctr('push', ...hosts, ...LOGIN, name);
    await forget();
    await ctr('pull', ...hosts, ...SNAPSHOTS, '--all-platforms', name);

    expect(await missingParts(server, 'containerd/one', image)).toEqual([]);
    expect(await digestOfTag(server, 'containerd/one', 'v1')).toBe(image.index);
    expect(await images()).toEqual(new Map([[name, image.index]]));
    expect(await ctr('check', ...SNAPSHOTS)).toContain('complete');
  });

  it('copies to another repository by mounting', async () => {
    const [one, two] = ['one', 'two'].map((name) => `${server.host}/containerd/copy/${name}:v1`) as [
      string,
      string,
    ];
    await ctr('import', '--all-platforms', ...SNAPSHOTS, image.archive);
    await ctr('tag', NAME, one);
    await ctr('push', ...hosts, ...LOGIN, one);
    await forget();
    await ctr('pull', ...hosts, ...SNAPSHOTS, '--all-platforms', one);

    await ctr('tag', one, two);
    await ctr('push', ...hosts, ...LOGIN, two);

    expect(await missingParts(server, 'containerd/copy/two', image)).toEqual([]);
    expect(blobTransfers(server, 'containerd/copy/two')).toEqual({ mounted: image.blobs.size, uploaded: 0 });
  });

  it('pulls by a name that hosts.toml leads here, and no other', async () => {
    const name = `${server.host}/containerd/mirror:v1`;
    await ctr('import', '--all-platforms', ...SNAPSHOTS, image.archive);
    await ctr('tag', NAME, name);
    await ctr('push', ...hosts, ...LOGIN, name);
    await forget();

    await ctr('pull', ...hosts, ...SNAPSHOTS, `${MIRRORED}/containerd/mirror:v1`);

    expect(await images()).toEqual(new Map([[`${MIRRORED}/containerd/mirror:v1`, image.index]]));
    await expect(
      ctr('pull', ...hosts, ...SNAPSHOTS, 'other.example.com/containerd/mirror:v1'),
    ).rejects.toThrow('http.StatusNotFound');
  });
});
