import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { sha256 } from '../registry/content.ts';
import { blobTransfers, digestOfTag, missingParts } from './checks.ts';
import { clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

let workshop: Workshop;
let image: TestImage;
let server: Server;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, 'skopeo.test/image:v1');
  server = await workshop.start({ anonymous: 'Pull' });
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

function layout(): string {
  return `oci:${image.layoutFolder}:${LAYOUT_TAG}`;
}

describe('skopeo', () => {
  it('copies both architectures in and out with the same digests', async () => {
    const skopeo = clientOf('skopeo', server.user, '--insecure-policy');
    const remote = `docker://${server.host}/skopeo/all:v1`;
    const pulled = join(workshop.folder, 'pulled');
    await mkdir(pulled);

    await skopeo('copy', '--all', '--preserve-digests', layout(), remote);
    const stranger = clientOf('skopeo', server.stranger, '--insecure-policy');
    await stranger('copy', '--all', '--preserve-digests', remote, `dir:${pulled}`);

    expect(await missingParts(server, 'skopeo/all', image)).toEqual([]);
    expect(sha256(await readFile(join(pulled, 'manifest.json')))).toBe(image.index);
    for (const [digest, bytes] of image.blobs) {
      expect((await readFile(join(pulled, digest.replace('sha256:', '')))).equals(bytes)).toBe(true);
    }
  });

  it('converts to the types of docker and of OCI, and inspects both', async () => {
    const skopeo = clientOf('skopeo', server.user, '--insecure-policy');
    const archive = `docker-archive:${image.archive}`;

    const copy = (format: string) =>
      skopeo('copy', '--format', format, archive, `docker://${server.host}/skopeo/types:${format}`);

    await copy('oci');
    await copy('v2s2');
    await expect(copy('v2s1')).rejects.toThrow(/unsupported|invalid/i);
    const raw = (tag: string) => skopeo('inspect', '--raw', `docker://${server.host}/skopeo/types:${tag}`);
    expect(JSON.parse(await raw('oci'))).toMatchObject({
      config: { mediaType: 'application/vnd.oci.image.config.v1+json' },
    });
    expect(JSON.parse(await raw('v2s2'))).toMatchObject({
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config: { digest: image.config },
    });
    const tags = await skopeo('list-tags', `docker://${server.host}/skopeo/types`);
    expect(JSON.parse(tags)).toMatchObject({ Tags: ['oci', 'v2s2'] });
  });

  it('copies between repositories by mounting the layers; it sends the two configurations', async () => {
    const skopeo = clientOf('skopeo', server.user, '--insecure-policy');
    const [from, to] = ['from', 'to'].map((name) => `docker://${server.host}/skopeo/${name}:v1`) as [
      string,
      string,
    ];
    await skopeo('copy', '--all', '--preserve-digests', layout(), from);

    await skopeo('copy', '--all', '--preserve-digests', from, to);

    expect(await missingParts(server, 'skopeo/to', image)).toEqual([]);
    expect(blobTransfers(server, 'skopeo/to')).toEqual({ mounted: 3, uploaded: 2 });
  });

  it('mirrors a repository with all its tags, and deletes', async () => {
    const skopeo = clientOf('skopeo', server.user, '--insecure-policy');
    const source = `${server.host}/skopeo/sync`;
    for (const tag of ['a', 'b']) {
      await skopeo('copy', '--all', '--preserve-digests', layout(), `docker://${source}:${tag}`);
    }

    await skopeo('sync', '--all', '--src', 'docker', '--dest', 'docker', source, `${server.host}/mirror`);
    await skopeo('delete', `docker://${source}:a`);

    expect(await digestOfTag(server, 'mirror/sync', 'b')).toBe(image.index);
    expect(await digestOfTag(server, 'skopeo/sync', 'a')).toBeUndefined();
    await expect(skopeo('inspect', '--raw', `docker://${source}:b`)).rejects.toThrow('manifest unknown');
  });

  it('works over plain HTTP when it is told to', async () => {
    const plain = await workshop.start({ plain: true });
    const skopeo = clientOf('skopeo', plain.stranger, '--insecure-policy');
    const remote = `docker://${plain.host}/plain/image:v1`;
    const options = ['--all', '--preserve-digests', '--dest-tls-verify=false'];

    await expect(skopeo('copy', ...options, layout(), remote)).rejects.toThrow(/unauthorized|authentication/);
    await skopeo('copy', ...options, '--dest-creds', `${USER}:${PASSWORD}`, layout(), remote);

    expect(await missingParts(plain, 'plain/image', image)).toEqual([]);
  });
});
