import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  CreateBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll } from 'vitest';

import { BufferPool } from '../../../src/registry/storage/buffer-pool.ts';
import { createS3Driver } from '../../../src/registry/storage/drivers/s3.ts';
import type { S3Server } from '../../servers/s3-server.ts';
import type { DriverTraits } from './fixture.ts';

const BUCKET = 'conformance';
/** Few parts fit in, so that sessions have to wait for each other's buffers. */
const BUFFER_BYTES = 40 << 20;

/** Runs one server for the test file; every test gets a prefix of its own in one bucket. */
export function s3Traits(start: () => Promise<S3Server>): DriverTraits {
  let server: S3Server | undefined;
  let client: S3Client | undefined;
  let credentialsDirectory = '';
  let tests = 0;

  beforeAll(async () => {
    server = await start();
    const { endpoint, region, accessKeyId, secretAccessKey } = server;
    client = new S3Client({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      forcePathStyle: true,
    });
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    credentialsDirectory = await mkdtemp(join(tmpdir(), 'credentials-'));
    // As a Secret made with echo has them.
    await writeFile(join(credentialsDirectory, 'AWS_ACCESS_KEY_ID'), `${accessKeyId}\n`);
    await writeFile(join(credentialsDirectory, 'AWS_SECRET_ACCESS_KEY'), `${secretAccessKey}\n`);
  });

  afterAll(async () => {
    client?.destroy();
    await rm(credentialsDirectory, { recursive: true, force: true });
    await server?.stop();
  });

  return {
    exclusiveSessions: false,
    async create() {
      if (server === undefined || client === undefined) throw new Error('the server has not started');
      const { endpoint, region } = server;
      const raw = client;
      tests += 1;
      const prefix = `registry/test-${tests}`;
      const open = () =>
        createS3Driver({
          endpoint,
          region,
          bucket: BUCKET,
          prefix,
          credentialsDirectory,
          addressingStyle: 'Auto',
          buffers: new BufferPool(BUFFER_BYTES),
        });
      return {
        driver: open(),
        another: async () => open(),
        residue: () => residue(raw, `${prefix}/`),
        destroy: async () => {},
      };
    },
  };
}

async function residue(client: S3Client, prefix: string): Promise<string[]> {
  const objects = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix }));
  const uploads = await client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET, Prefix: prefix }));
  return [
    ...(objects.Contents ?? []).map(({ Key }) => `object ${Key}`),
    ...(uploads.Uploads ?? []).map(({ Key }) => `upload ${Key}`),
  ];
}
