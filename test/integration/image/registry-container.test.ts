import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import packageJson from '../../../package.json' with { type: 'json' };
import { toolPath } from '../../helpers/tools.ts';
import { type Docker, startDocker } from '../../servers/docker.ts';
import { digestOf, pullBlob, pushBlob, type Repository } from './blobs.ts';
import { buildImageArchive } from './build-image.ts';
import {
  MEMORY_LIMIT,
  type RegistryContainer,
  startRegistryContainer,
  startRegistryOnHostNetwork,
} from './container.ts';

const IMAGE = `ghcr.io/registry-operator/registry-operator:${packageJson.version}`;
const PULLS = 20;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** What the image under test stores: as large as a small application. */
const LAYERS = [randomBytes(40 << 20), randomBytes(8 << 20), randomBytes(100)];
const CONFIG = Buffer.from('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}');

let folder: string;
let docker: Docker;
let registry: RegistryContainer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-test-'));
  const archive = await buildImageArchive(folder);
  docker = await startDocker();
  await promisify(execFile)(toolPath('docker'), ['load', '--quiet', '--input', archive]);
  registry = await startRegistryContainer(IMAGE);
});

afterAll(async () => {
  await registry?.[Symbol.asyncDispose]();
  await docker?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

function repository(): Repository {
  return { url: `${registry.url}/v2/team/app` };
}

function descriptor(mediaType: string, bytes: Uint8Array): object {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

const MANIFEST = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: descriptor('application/vnd.oci.image.config.v1+json', CONFIG),
    layers: LAYERS.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
  }),
);

async function pull(): Promise<string[]> {
  const response = await fetch(`${repository().url}/manifests/v1`, {
    headers: { accept: MANIFEST_TYPE },
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const { config, layers } = JSON.parse(bytes.toString()) as {
    config: { digest: string };
    layers: { digest: string }[];
  };
  const blobs = await Promise.all([config, ...layers].map(({ digest }) => pullBlob(repository(), digest)));
  return [digestOf(bytes), ...blobs];
}

async function residentBytes(): Promise<number> {
  const metrics = await (await fetch(`${registry.opsUrl}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1]);
}

describe('the registry in a container like its Pod', () => {
  it('takes an image and serves it to many clients at once within its memory', async () => {
    for (const bytes of [...LAYERS, CONFIG]) await pushBlob(repository(), bytes);
    const put = await fetch(`${repository().url}/manifests/v1`, {
      method: 'PUT',
      body: MANIFEST,
      headers: { 'content-type': MANIFEST_TYPE },
    });
    expect(put.status).toBe(201);

    const pulls = await Promise.all(Array.from({ length: PULLS }, () => pull()));

    const expected = [MANIFEST, CONFIG, ...LAYERS].map((bytes) => digestOf(bytes));
    expect(pulls).toEqual(Array.from({ length: PULLS }, () => expected));
    expect(await registry.state()).toMatchObject({ Running: true, OOMKilled: false });
    expect(await residentBytes()).toBeLessThan(MEMORY_LIMIT);
  });

  it('brings both programs, which the user without rights can run', async () => {
    const versions = await Promise.all(
      ['registry', 'operator'].map((name) => registry.exec('/usr/bin/node', `/app/${name}.js`, '--version')),
    );

    expect(versions.map(({ exitCode, output }) => [exitCode, output.trim()])).toEqual([
      [0, packageJson.version],
      [0, packageJson.version],
    ]);
  });

  it('has no shell to break into and no file to change', async () => {
    const shells = await Promise.all(
      ['/bin/sh', '/bin/bash', '/bin/busybox'].map((path) => registry.exec(path)),
    );
    const write = await registry.exec('/usr/bin/node', '-e', 'fs.writeFileSync("/app/registry.js", "")');

    for (const { exitCode } of shells) expect(exitCode).toBeGreaterThan(125);
    expect(write.output).toContain('EROFS');
  });

  it('finishes running requests after SIGTERM and exits with 0', async () => {
    await using stopping = await startRegistryOnHostNetwork(IMAGE);
    const at = { url: `${stopping.url}/v2/team/app` };
    const [large = Buffer.alloc(0)] = LAYERS;
    await pushBlob(at, large);
    const response = await fetch(`${at.url}/blobs/${digestOf(large)}`);
    const reader = response.body?.getReader();
    const first = await reader?.read();

    const terminated = stopping.terminate();
    const hash = createHash('sha256').update(first?.value ?? '');
    for (let chunk = await reader?.read(); chunk?.done === false; chunk = await reader?.read())
      hash.update(chunk.value);
    await terminated;

    expect(`sha256:${hash.digest('hex')}`).toBe(digestOf(large));
    expect(await stopping.state()).toMatchObject({
      Running: false,
      OOMKilled: false,
      ExitCode: 0,
    });
  });
});
