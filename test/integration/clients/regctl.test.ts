import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { command } from '../../cluster/command.ts';
import { toolPath } from '../../helpers/tools.ts';
import { sha256 } from '../registry/content.ts';
import { blobTransfers, digestOfTag, missingParts } from './checks.ts';
import { type Client, clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, type Server, type Workshop } from './workshop.ts';

const CHUNK_BYTES = 100_000;

let workshop: Workshop;
let image: TestImage;
let server: Server;
let regctl: Client;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, 'regctl.test/image:v1');
  server = await workshop.start({ anonymous: 'Pull' });
  regctl = clientOf('regctl', server.user);
});

afterAll(() => workshop?.[Symbol.asyncDispose]());

async function push(repository: string): Promise<string> {
  const name = `${server.host}/${repository}`;
  await regctl('image', 'copy', `ocidir://${image.layoutFolder}:${LAYOUT_TAG}`, `${name}:v1`);
  return name;
}

describe('regctl', () => {
  it('copies an image in, between repositories by mounting, and out', async () => {
    const name = await push('regctl/from');

    await regctl('image', 'copy', `${name}:v1`, `${server.host}/regctl/to:v1`);
    const pulled = join(workshop.folder, 'pulled');
    await clientOf('regctl', server.stranger)('image', 'copy', `${name}:v1`, `ocidir://${pulled}:v1`);

    expect(await missingParts(server, 'regctl/to', image)).toEqual([]);
    expect(blobTransfers(server, 'regctl/to')).toEqual({ mounted: image.blobs.size, uploaded: 0 });
    expect(await regctl('image', 'digest', `ocidir://${pulled}:v1`)).toBe(image.index);
    expect((await regctl('repo', 'ls', server.host)).split('\n')).toContain('regctl/to');
  });

  it('lists tags page by page, and removes one tag of several on a manifest', async () => {
    const name = await push('regctl/tags');
    for (const tag of ['v2', 'v3']) await regctl('image', 'copy', `${name}:v1`, `${name}:${tag}`);

    const pages = [
      await regctl('tag', 'ls', '--limit', '2', name),
      await regctl('tag', 'ls', '--limit', '2', '--last', 'v2', name),
    ];
    await regctl('tag', 'rm', `${name}:v2`);

    expect(pages).toEqual(['v1\nv2', 'v3']);
    expect(await regctl('tag', 'ls', name)).toBe('v1\nv3');
    expect(await digestOfTag(server, 'regctl/tags', 'v3')).toBe(image.index);
    await regctl('manifest', 'delete', `${name}@${image.index}`);
    expect(await regctl('tag', 'ls', name)).toBe('');
  });

  it('pushes a blob in chunks, reads, copies and deletes it', async () => {
    const name = `${server.host}/regctl/blobs`;
    const [bytes, file] = [randomBytes(CHUNK_BYTES * 5 + 7), join(workshop.folder, 'blob')];
    await writeFile(file, bytes);
    const env = { ...server.user, REGCTL_CONFIG: join(workshop.folder, 'regctl.json') };
    const chunked = clientOf('regctl', env);
    const sizes = ['--blob-chunk', String(CHUNK_BYTES), '--blob-max', '1000'];
    await chunked('registry', 'set', server.host, ...sizes, '--skip-check');

    const script = `exec "$0" blob put --digest "$1" "$2" < "$3"`;
    const program = toolPath('regctl');
    await command('sh', ['-c', script, program, sha256(bytes), name, file], { env });
    await regctl('blob', 'copy', name, `${server.host}/regctl/blobs/copy`, sha256(bytes));
    await regctl('blob', 'delete', name, sha256(bytes));

    const chunks = server
      .requests()
      .filter(({ method, path }) => method === 'PATCH' && path.includes('/blobs/'));
    expect(chunks.map(({ received }) => received)).toEqual([...Array(5).fill(CHUNK_BYTES), 7]);
    await expect(regctl('blob', 'head', name, sha256(bytes))).rejects.toThrow(/404|not found/i);
    const copy = await server.call(`/v2/regctl/blobs/copy/blobs/${sha256(bytes)}`);
    expect(copy.body.equals(bytes)).toBe(true);
  });

  it('attaches artifacts, lists them by type, reads one and copies them with the image', async () => {
    const name = await push('regctl/subject');
    const put = (type: string, text: string) => {
      const args = ['artifact', 'put', '--subject', `${name}:v1`, '--artifact-type', type];
      return command(toolPath('regctl'), args, { env: server.user, input: text });
    };
    await put('application/vnd.test.one', 'first');
    await put('application/vnd.test.two', 'second');

    await regctl('image', 'copy', '--referrers', `${name}:v1`, `${server.host}/regctl/with:v1`);

    const list = async (repository: string, ...more: string[]) =>
      regctl('artifact', 'list', `${server.host}/${repository}:v1`, ...more);
    const one = ['--filter-artifact-type', 'application/vnd.test.one'];
    for (const repository of ['regctl/subject', 'regctl/with']) {
      expect(await list(repository)).toMatch(/vnd\.test\.(one|two)[^]*vnd\.test\.(one|two)/);
      expect(await list(repository, ...one)).not.toContain('vnd.test.two');
      const reference = `${server.host}/${repository}:v1`;
      expect(await regctl('artifact', 'get', '--subject', reference, ...one)).toBe('first');
    }
    // The server lists referrers itself, so that no tag is needed for them.
    expect(await regctl('tag', 'ls', name)).toBe('v1');
  });

  it('deletes an artifact, which is then no referrer any more', async () => {
    const name = await push('regctl/detach');
    const args = ['artifact', 'put', '--subject', `${name}:v1`, '--artifact-type', 'application/vnd.test'];
    await command(toolPath('regctl'), args, { env: server.user, input: 'text' });
    const digests = () =>
      regctl(
        'artifact',
        'list',
        `${name}:v1`,
        '--format',
        '{{range .Descriptors}}{{println .Digest}}{{end}}',
      );

    const attached = await digests();
    await regctl('manifest', 'delete', '--ignore-missing=false', `${name}@${attached}`);

    expect(attached).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await digests()).toBe('');
  });
});
