import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { type Docker, startDocker } from '../../servers/docker.ts';
import { type S3Server, writeCredentials } from '../../servers/s3-server.ts';
import { startVersitygw } from '../../servers/versitygw.ts';
import { blobTransfers, digestOfTag, missingParts } from './checks.ts';
import { clientOf } from './client.ts';
import { LAYOUT_TAG, makeImage, type TestImage } from './image.ts';
import { openWorkshop, PASSWORD, type Server, USER, type Workshop } from './workshop.ts';

const BUCKET = 'clients';
const NAME = 's3.test/image:v1';

let workshop: Workshop;
let image: TestImage;
let s3: S3Server;
let server: Server;

beforeAll(async () => {
  workshop = await openWorkshop();
  image = await makeImage(workshop.folder, NAME);
  s3 = await startVersitygw({ buckets: [BUCKET] });
  const credentialsDirectory = join(workshop.folder, 'credentials');
  await writeCredentials(s3, credentialsDirectory);
  const { endpoint, region } = s3;
  server = await workshop.start({
    anonymous: 'Pull',
    storage: { driver: 's3', bucket: BUCKET, prefix: 'a/prefix', endpoint, region, credentialsDirectory },
  });
});

afterAll(async () => {
  await workshop?.[Symbol.asyncDispose]();
  await s3?.stop();
});

describe('a server that stores in a bucket', () => {
  it('takes, mounts, lists and deletes for crane', async () => {
    const crane = clientOf('crane', server.user);
    const [one, two] = [`${server.host}/crane/one`, `${server.host}/crane/two`];
    await crane('push', '--index', image.layoutFolder, `${one}:v1`);

    await crane('copy', `${one}@${image.index}`, `${two}:v1`);
    await crane('tag', `${two}:v1`, 'v2');
    await crane('validate', '--remote', `${two}:v1`);
    const listed = [await crane('ls', two), await crane('catalog', server.host)];
    await crane('delete', `${two}@${image.index}`);

    expect(await missingParts(server, 'crane/one', image)).toEqual([]);
    expect(blobTransfers(server, 'crane/two')).toEqual({ mounted: image.blobs.size, uploaded: 0 });
    expect(listed).toEqual(['v1\nv2', 'crane/one\ncrane/two']);
    expect(await crane('ls', two)).toBe('');
  });

  it('takes and serves every byte for skopeo', async () => {
    const skopeo = clientOf('skopeo', server.user, '--insecure-policy');
    const layout = `oci:${image.layoutFolder}:${LAYOUT_TAG}`;
    const remote = `docker://${server.host}/skopeo/image:v1`;
    const options = ['--all', '--preserve-digests'];

    await skopeo('copy', ...options, layout, remote);
    await clientOf('skopeo', server.stranger, '--insecure-policy')(
      'copy',
      ...options,
      remote,
      `oci:${join(workshop.folder, 'pulled')}:v1`,
    );

    expect(await missingParts(server, 'skopeo/image', image)).toEqual([]);
  });

  it('keeps what oras attaches, copies and deletes', async () => {
    const oras = clientOf('oras', server.user);
    const [from, to] = [`${server.host}/oras/from`, `${server.host}/oras/to`];
    const file = join(workshop.folder, 'attached');
    await writeFile(file, randomBytes(100));
    await oras('cp', '--from-oci-layout', `${image.layoutFolder}:${LAYOUT_TAG}`, `${from}:v1`);
    const type = ['--disable-path-validation', '--artifact-type', 'application/vnd.test'];
    await oras('attach', ...type, `${from}:v1`, `${file}:text/plain`);

    await oras('cp', '--recursive', `${from}:v1`, `${to}:v1`);
    const { manifests } = JSON.parse(await oras('discover', '--format', 'json', `${to}:v1`)) as {
      manifests: { digest: string; artifactType: string }[];
    };
    await oras('manifest', 'delete', '--force', `${to}@${manifests[0]?.digest}`);

    expect(await missingParts(server, 'oras/to', image)).toEqual([]);
    expect(manifests.map(({ artifactType }) => artifactType)).toEqual(['application/vnd.test']);
    expect(await oras('discover', '--format', 'json', `${to}:v1`)).not.toContain('application/vnd.test');
  });

  it('takes what docker pushes in streams of unknown length', async () => {
    await using docker: Docker = await startDocker();
    const env = {
      ...server.stranger,
      DOCKER_HOST: docker.host,
      DOCKER_CONFIG: join(workshop.folder, 'docker'),
    };
    const client = clientOf('docker', env);
    const name = `${server.host}/docker/image:v1`;
    await client('load', '--quiet', '--input', image.archive);
    await client('tag', NAME, name);
    await client('login', '-u', USER, '-p', PASSWORD, server.host);

    await client('push', name);
    await client('rmi', NAME, name);
    const pulled = await client('pull', name);

    expect(pulled).toContain(`Digest: ${await digestOfTag(server, 'docker/image', 'v1')}`);
    expect(await client('inspect', '--format', '{{.Id}}', name)).toBe(image.config);
    await client('rmi', name);
  });
});
