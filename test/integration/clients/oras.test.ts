import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { sha256 } from '../registry/content.ts';
import { digestOfTag, missingParts } from './checks.ts';
import { type Client, clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, type Server, type Workshop } from './workshop.ts';

const PUSH = ['--disable-path-validation', '--artifact-type', 'application/vnd.test'];

let workshop: Workshop;
let image: TestImage;
let server: Server;
let oras: Client;
let stranger: Client;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, 'oras.test/image:v1');
  server = await workshop.start({ anonymous: 'Pull' });
  oras = clientOf('oras', server.user);
  stranger = clientOf('oras', server.stranger);
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

async function fileOf(bytes: Uint8Array): Promise<string> {
  const file = join(workshop.folder, `${randomBytes(8).toString('hex')}.bin`);
  await writeFile(file, bytes);
  return file;
}

interface Found {
  readonly manifests: readonly { digest: string; artifactType: string; annotations?: object }[];
}

async function discover(reference: string, ...more: string[]): Promise<Found['manifests']> {
  const found: Found = JSON.parse(await stranger('discover', '--format', 'json', ...more, reference));
  return found.manifests;
}

describe('oras', () => {
  it('copies an image for two architectures from a layout and back into one', async () => {
    const remote = `${server.host}/oras/image:v1`;
    const layout = join(workshop.folder, 'back');

    await oras('cp', '--from-oci-layout', `${image.layoutFolder}:${LAYOUT_TAG}`, remote);
    await stranger('cp', '--to-oci-layout', remote, `${layout}:v1`);

    expect(await missingParts(server, 'oras/image', image)).toEqual([]);
    expect(await digestOfTag(server, 'oras/image', 'v1')).toBe(image.index);
    for (const [digest, bytes] of [...image.manifests, ...image.blobs]) {
      expect((await readFile(join(layout, 'blobs', digest.replace(':', '/')))).equals(bytes)).toBe(true);
    }
  });

  it('pushes files as an artifact under several tags, lists and pulls them', async () => {
    const bytes = randomBytes(200_000);
    const file = await fileOf(bytes);
    const out = join(workshop.folder, 'out');
    await mkdir(out);

    await oras('push', ...PUSH, `${server.host}/oras/push:v1,v2`, `${file}:application/octet-stream`);
    await oras('tag', `${server.host}/oras/push:v1`, 'v3');
    await stranger('pull', '--allow-path-traversal', '-o', out, `${server.host}/oras/push:v3`);

    expect((await stranger('repo', 'tags', `${server.host}/oras/push`)).split('\n')).toEqual([
      'v1',
      'v2',
      'v3',
    ]);
    expect((await stranger('repo', 'ls', server.host)).split('\n')).toContain('oras/push');
    expect((await stranger('repo', 'ls', `${server.host}/oras`)).split('\n')).toContain('push');
    expect((await readFile(file)).equals(bytes)).toBe(true);
  });

  it('pushes, reads and deletes a blob and a manifest', async () => {
    const bytes = randomBytes(1000);
    const name = `${server.host}/oras/blobs`;
    const file = await fileOf(bytes);
    await oras('blob', 'push', name, file);
    await oras('push', ...PUSH, `${name}:v1`, `${file}:application/octet-stream`);
    const fetched = `${file}.fetched`;

    await stranger('blob', 'fetch', '--output', fetched, `${name}@${sha256(bytes)}`);
    await oras('manifest', 'delete', '--force', `${name}:v1`);
    await oras('blob', 'delete', '--force', `${name}@${sha256(bytes)}`);

    expect((await readFile(fetched)).equals(bytes)).toBe(true);
    await expect(oras('resolve', `${name}:v1`)).rejects.toThrow('not found');
    await expect(oras('blob', 'fetch', '--descriptor', `${name}@${sha256(bytes)}`)).rejects.toThrow(
      'not found',
    );
  });

  it('attaches to an image and to what is attached, and finds all of it by the referrers API', async () => {
    const name = `${server.host}/oras/attach`;
    const file = await fileOf(randomBytes(100));
    await oras('cp', '--from-oci-layout', `${image.layoutFolder}:${LAYOUT_TAG}`, `${name}:v1`);
    const attach = (type: string, reference: string) =>
      oras(
        'attach',
        '--disable-path-validation',
        '--artifact-type',
        type,
        '--annotation',
        `for=${type}`,
        reference,
        file,
      );

    await attach('application/vnd.test.sbom', `${name}:v1`);
    await attach('application/vnd.test.scan', `${name}:v1`);
    const [sbom] = await discover(`${name}:v1`, '--artifact-type', 'application/vnd.test.sbom');
    await attach('application/vnd.test.signature', `${name}@${sbom?.digest}`);

    const found = await discover(`${name}:v1`);
    expect(found.map(({ artifactType }) => artifactType).toSorted()).toEqual([
      'application/vnd.test.sbom',
      'application/vnd.test.scan',
    ]);
    expect(sbom?.annotations).toMatchObject({ for: 'application/vnd.test.sbom' });
    expect(await discover(`${name}@${sbom?.digest}`)).toMatchObject([
      { artifactType: 'application/vnd.test.signature' },
    ]);
    // No tag stands in for the API.
    expect(await stranger('repo', 'tags', name)).toBe('v1');
  });

  it('copies an image with all that is attached, and drops from the list what is deleted', async () => {
    const [from, to] = [`${server.host}/oras/from`, `${server.host}/oras/to`];
    const file = await fileOf(randomBytes(100));
    await oras('push', ...PUSH, `${from}:v1`, `${file}:application/octet-stream`);
    await oras('attach', ...PUSH, `${from}:v1`, `${file}:application/octet-stream`);
    const [attached] = await discover(`${from}:v1`);
    await oras('attach', ...PUSH, `${from}@${attached?.digest}`, `${file}:application/octet-stream`);

    await oras('cp', '--recursive', `${from}:v1`, `${to}:v1`);
    const copied = await discover(`${to}:v1`);
    const deeper = await discover(`${to}@${attached?.digest}`);
    await oras('manifest', 'delete', '--force', `${to}@${attached?.digest}`);

    expect(copied.map(({ digest }) => digest)).toEqual([attached?.digest]);
    expect(deeper).toHaveLength(1);
    expect(await discover(`${to}:v1`)).toEqual([]);
    expect(await discover(`${from}:v1`)).toHaveLength(1);
  });
});
