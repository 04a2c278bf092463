import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { packTar, type TarEntry } from 'modern-tar';

/** Times are fixed, so that an image depends on nothing but its contents. */
const EPOCH = new Date(0);

const USERS = {
  'etc/passwd': 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n',
  'etc/group': 'root:x:0:\nnonroot:x:65532:\n',
};

/**
 * Writes an image of one layer that holds one static program as its entrypoint, in the form of `docker save`, which
 * `ctr images import` takes.
 */
export async function writeStaticImage(file: string, name: string, program: string): Promise<void> {
  const entrypoint = basename(program);
  const layer = await packTar([
    { header: { name: 'tmp/', type: 'directory', size: 0, mode: 0o1777, mtime: EPOCH } },
    ...Object.entries(USERS).map(([path, text]) => fileEntry(path, Buffer.from(text))),
    fileEntry(entrypoint, await readFile(program), 0o755),
  ]);
  const config = Buffer.from(JSON.stringify(imageConfig(`/${entrypoint}`, sha256(layer))));
  const configName = `${sha256(config)}.json`;
  const manifest = [{ Config: configName, RepoTags: [name], Layers: ['layer.tar'] }];
  const archive = await packTar([
    fileEntry('manifest.json', Buffer.from(JSON.stringify(manifest))),
    fileEntry(configName, config),
    fileEntry('layer.tar', layer),
  ]);
  await writeFile(file, archive);
}

function fileEntry(name: string, body: Uint8Array, mode = 0o644): TarEntry {
  return { header: { name, size: body.length, mode, mtime: EPOCH }, body };
}

function imageConfig(entrypoint: string, diffId: string): object {
  return {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    created: EPOCH.toISOString(),
    config: { Env: ['PATH=/usr/local/bin:/usr/bin:/bin'], Entrypoint: [entrypoint], WorkingDir: '/' },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
  };
}

function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
