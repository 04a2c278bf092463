import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';

import { unpackTar, type ParsedTarEntryWithData } from 'modern-tar';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import packageJson from '../../../package.json' with { type: 'json' };
import { loadedPartOfElf } from '../../../scripts/image/elf.ts';
import { toolPath } from '../../helpers/tools.ts';
import { buildImageArchive } from './build-image.ts';

const NAME = `ghcr.io/registry-operator/registry-operator:${packageJson.version}`;
const BUILD_SECONDS = 30;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

let folder: string;
let archive: string;
let seconds: number;
/** Files of the archive by path. */
let files: Map<string, Uint8Array>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'image-test-'));
  const start = performance.now();
  archive = await buildImageArchive(folder);
  seconds = (performance.now() - start) / 1000;
  files = new Map(
    (await unpackTar(await readFile(archive))).map(({ header, data }) => [header.name, data ?? empty]),
  );
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const empty = new Uint8Array();

function json(path: string): unknown {
  return JSON.parse(Buffer.from(files.get(path) ?? empty).toString());
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

function blob(digest: string): Uint8Array {
  return files.get(blobPath(digest)) ?? empty;
}

function imageIndex(): { manifests: [Descriptor] } {
  return json('index.json') as { manifests: [Descriptor] };
}

function imageManifest(): { config: Descriptor; layers: Descriptor[]; annotations: Record<string, string> } {
  return json(blobPath(imageIndex().manifests[0].digest)) as ReturnType<typeof imageManifest>;
}

function imageConfig(): { config: Record<string, unknown>; rootfs: { diff_ids: string[] } } {
  return json(blobPath(imageManifest().config.digest)) as ReturnType<typeof imageConfig>;
}

async function rootFiles(): Promise<ParsedTarEntryWithData[]> {
  const layers = imageManifest().layers.map(({ digest }) => unpackTar(gunzipSync(blob(digest))));
  return (await Promise.all(layers)).flat();
}

function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

describe('the archive', () => {
  it('is made in seconds', () => {
    expect(seconds).toBeLessThan(BUILD_SECONDS);
  });

  it('has the same bytes when it is made again', async () => {
    const again = await buildImageArchive(folder, 'again.tar');

    expect(sha256(await readFile(again))).toBe(sha256(await readFile(archive)));
  });

  it('is an OCI image layout whose digests and sizes are true', () => {
    const { config, layers } = imageManifest();

    expect(json('oci-layout')).toEqual({ imageLayoutVersion: '1.0.0' });
    for (const { digest, size } of [...imageIndex().manifests, config, ...layers]) {
      expect([sha256(blob(digest)), blob(digest).length]).toEqual([digest, size]);
    }
    expect(layers.map(({ digest }) => sha256(gunzipSync(blob(digest))))).toEqual(
      imageConfig().rootfs.diff_ids,
    );
  });

  it('names the image for containerd and for docker', () => {
    expect(imageIndex().manifests[0].annotations).toMatchObject({ 'io.containerd.image.name': NAME });
    expect(json('manifest.json')).toMatchObject([{ RepoTags: [NAME] }]);
  });

  it('is copied by skopeo as an OCI archive and as a docker archive, with the same configuration', async () => {
    const configs = await Promise.all(
      ['oci-archive', 'docker-archive'].map(async (transport) => {
        const target = join(folder, transport);
        await promisify(execFile)(toolPath('skopeo'), [
          '--insecure-policy',
          'copy',
          '--quiet',
          `${transport}:${archive}`,
          `dir:${target}`,
        ]);
        const manifest = JSON.parse(await readFile(join(target, 'manifest.json'), 'utf8')) as {
          config: Descriptor;
        };
        return manifest.config.digest;
      }),
    );

    expect(configs).toEqual([imageManifest().config.digest, imageManifest().config.digest]);
  });
});

describe('the image', () => {
  it('starts the registry as a user without rights', () => {
    expect(imageConfig().config).toMatchObject({
      User: '65532:65532',
      Entrypoint: ['/usr/bin/node', '/app/registry.js'],
      Labels: {
        'org.opencontainers.image.title': 'registry-operator',
        'org.opencontainers.image.version': packageJson.version,
        'org.opencontainers.image.source': expect.stringMatching(/^https:/),
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    });
    expect(imageConfig().config).not.toHaveProperty('Healthcheck');
    expect(imageConfig().config).not.toHaveProperty('Volumes');
    expect(imageManifest().annotations).toEqual(imageConfig().config['Labels']);
  });

  it('has less than 130 MB unpacked', async () => {
    const sizes = (await rootFiles()).map(({ header }) => header.size);

    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(130_000_000);
  });

  it('holds one program, no shell, and nothing that gives rights', async () => {
    const entries = await rootFiles();
    const programs = entries.filter(({ header }) => /bin\/./.test(header.name) && header.type === 'file');

    expect(programs.map(({ header }) => header.name)).toEqual(['usr/bin/node']);
    expect(entries.filter(({ header }) => ((header.mode ?? 0) & 0o6000) !== 0)).toEqual([]);
    expect(
      entries.filter(({ header }) => header.name !== 'tmp/' && ((header.mode ?? 0) & 0o2) !== 0),
    ).toEqual([]);
  });

  it('belongs to root, apart from the folders that the registry writes to', async () => {
    const foreign = (await rootFiles()).filter(({ header }) => header.uid !== 0 || header.gid !== 0);

    expect(foreign.map(({ header }) => [header.name, header.uid, header.gid])).toEqual([
      ['var/lib/registry/', 65_532, 65_532],
      ['var/lib/registry-state/', 65_532, 65_532],
    ]);
  });

  it('brings CA certificates and the licences of its parts', async () => {
    const texts = new Map(
      (await rootFiles()).map(({ header, data }) => [header.name, Buffer.from(data ?? '')]),
    );

    expect(texts.get('etc/ssl/certs/ca-certificates.crt')?.toString()).toMatch(
      /^-----BEGIN CERTIFICATE-----/,
    );
    expect(texts.get('usr/share/licenses/node')?.length).toBeGreaterThan(10_000);
    expect(texts.get('app/licenses.txt')?.toString()).toMatch(/^fastify \d.*\(MIT\)$/m);
  });
});

describe('a file that is no program', () => {
  it.each(['', 'text', '\x7fELF\x01\x01'])('is refused (%j)', async (content) => {
    const file = join(folder, 'no-program');
    await writeFile(file, content.padEnd(content.length > 4 ? 64 : content.length, '\0'));

    await expect(loadedPartOfElf(file)).rejects.toThrow(/too short|not a 64-bit little-endian ELF/);
  });
});
