import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { blobTransfers, digestOfTag, missingParts } from './checks.ts';
import { clientOf, isAllowed } from './client.ts';
import { makeImage, type TestImage } from './image.ts';
import { openWorkshop, type Server, type Workshop } from './workshop.ts';

const MODES = ['None', 'Pull', 'PullPush'] as const;

let workshop: Workshop;
let image: TestImage;
const servers = new Map<string, Server>();

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, 'crane.test/image:v1');
  for (const anonymous of MODES) servers.set(anonymous, await workshop.start({ anonymous }));
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

function serverOf(mode: (typeof MODES)[number]): Server {
  const server = servers.get(mode);
  if (!server) throw new Error(`no server for ${mode}`);
  return server;
}

describe('crane', () => {
  it('pushes an index of an index, lists, and pulls every byte', async () => {
    const server = serverOf('None');
    const crane = clientOf('crane', server.user);
    const name = `${server.host}/crane/push`;

    await crane('push', '--index', image.layoutFolder, `${name}:nested`);
    await crane('copy', `${name}@${image.index}`, `${name}:v1`);
    await crane('validate', '--remote', `${name}:v1`);
    await crane('pull', '--format', 'oci', `${name}:v1`, join(workshop.folder, 'pulled'));

    expect(await missingParts(server, 'crane/push', image)).toEqual([]);
    expect(await crane('digest', `${name}:v1`)).toBe(image.index);
    expect(await crane('ls', name)).toBe('nested\nv1');
    expect((await crane('catalog', server.host)).split('\n')).toContain('crane/push');
    for (const [digest, bytes] of image.blobs) {
      const file = join(workshop.folder, 'pulled', 'blobs', digest.replace(':', '/'));
      expect((await readFile(file)).equals(bytes)).toBe(true);
    }
  });

  it('copies between repositories by mounting, without sending a byte of a blob', async () => {
    const server = serverOf('None');
    const crane = clientOf('crane', server.user);
    await crane('push', '--index', image.layoutFolder, `${server.host}/crane/from:v1`);

    await crane('copy', `${server.host}/crane/from:v1`, `${server.host}/crane/to/deep:v1`);

    expect(await missingParts(server, 'crane/to/deep', image)).toEqual([]);
    expect(blobTransfers(server, 'crane/to/deep')).toEqual({ mounted: image.blobs.size, uploaded: 0 });
  });

  it('adds a layer, tags, deletes a tag, then a manifest with its tags', async () => {
    const server = serverOf('None');
    const crane = clientOf('crane', server.user);
    const name = `${server.host}/crane/delete`;
    await crane('push', image.archive, `${name}:v1`);

    await crane('append', '--base', `${name}:v1`, '-f', image.archive, '-t', `${name}:v2`);
    await crane('tag', `${name}:v1`, 'v3');
    const digest = await crane('digest', `${name}:v3`);
    await crane('delete', `${name}:v1`);
    const left = await crane('ls', name);
    await crane('delete', `${name}@${digest}`);

    expect(left).toBe('v2\nv3');
    expect(await crane('ls', name)).toBe('v2');
    await expect(crane('manifest', `${name}@${digest}`)).rejects.toThrow('MANIFEST_UNKNOWN');
    await crane('validate', '--remote', `${name}:v2`);
    expect(await digestOfTag(server, 'crane/delete', 'v3')).toBeUndefined();
  });

  it.each([
    ['None', { pull: false, push: false }],
    ['Pull', { pull: true, push: false }],
    ['PullPush', { pull: true, push: true }],
  ] as const)('without a login may do what %s says', async (mode, { pull, push }) => {
    const { host, user, stranger } = serverOf(mode);
    await clientOf('crane', user)('push', image.archive, `${host}/rights/image:v1`);
    const crane = clientOf('crane', stranger);

    expect({
      pull: await isAllowed(crane('manifest', `${host}/rights/image:v1`)),
      push: await isAllowed(crane('push', image.archive, `${host}/rights/image:v2`)),
    }).toEqual({ pull, push });
    await expect(crane('delete', `${host}/rights/image:v1`)).rejects.toThrow(/UNAUTHORIZED|401/);
  });
});
