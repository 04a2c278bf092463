import { describe, expect, it } from 'vitest';

import { type Answer, header, location, type RegistryClient } from './client.ts';
import { type Algorithm, ALGORITHMS, digestOf, missingDigest, noise } from './content.ts';
import { blobPath, pushBlob, putBlob, uploads } from './pushing.ts';

function mount(client: RegistryClient, repository: string, digest: string, from?: string): Promise<Answer> {
  const query = new URLSearchParams({ mount: digest, ...(from === undefined ? {} : { from }) });
  return client.send('POST', uploads(repository, `?${query.toString()}`));
}

export function describeMounts(client: RegistryClient): void {
  describe.each(ALGORITHMS)('Mounting a blob from another repository (end-11), %s', (algorithm) => {
    it('answers 201 with the Location of the blob in this repository', async () => {
      const { source, target, digest, bytes } = await pushedElsewhere(client, algorithm);

      const answer = await mount(client, target, digest, source);

      expect(location(answer).pathname).toBe(blobPath(target, digest));
      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
      await expect(client).toServeBlob(target, digest, bytes);
    });

    it('takes a query that leaves colon and slash as they are', async () => {
      const { source, target, digest, bytes } = await pushedElsewhere(client, algorithm);

      const answer = await client.send('POST', uploads(target, `?mount=${digest}&from=${source}`));

      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
    });

    it('finds the blob without being told where it is', async () => {
      const { target, digest, bytes } = await pushedElsewhere(client, algorithm);

      const answer = await mount(client, target, digest);

      expect(location(answer).pathname).toBe(blobPath(target, digest));
      await expect(client).toHaveCreatedBlob(answer, digest, bytes);
      await expect(client).toServeBlob(target, digest, bytes);
    });

    it('gives each repository a blob of its own: each may delete it', async () => {
      const { source, target, digest, bytes } = await pushedElsewhere(client, algorithm);
      await mount(client, target, digest, source);

      await expect(client).toDelete(blobPath(source, digest));
      await expect(client).toServeBlob(target, digest, bytes);
      await expect(client).toDelete(blobPath(target, digest));
    });

    it('mounts a blob that this repository has already', async () => {
      const { source, digest, bytes } = await pushedElsewhere(client, algorithm);

      await expect(client).toHaveCreatedBlob(await mount(client, source, digest, source), digest, bytes);
      await expect(client).toHaveCreatedBlob(await mount(client, source, digest), digest, bytes);
    });

    it('opens an upload with 202 when the other repository does not have the blob', async () => {
      const { source, target } = await pushedElsewhere(client, algorithm);

      expect(await mountInVain(client, target, algorithm, source)).toBe(202);
    });

    it('opens an upload with 202 when no repository has the blob', async () => {
      expect(await mountInVain(client, client.newRepository(), algorithm)).toBe(202);
    });

    it('opens an upload with 202 when there is no such repository', async () => {
      expect(await mountInVain(client, client.newRepository(), algorithm, 'no/such/repository')).toBe(202);
    });

    it('does not mount what its last repository has deleted', async () => {
      const { source, target, digest } = await pushedElsewhere(client, algorithm);
      await expect(client).toDelete(blobPath(source, digest));

      expect((await mount(client, target, digest, source)).status).toBe(202);
      expect((await mount(client, target, digest)).status).toBe(202);
      await expect(client).toServeNoBlob(target, digest);
    });
  });

  describe('Mounting a blob from another repository (end-11)', () => {
    it.each(['UPPER', '../a', 'a//b'])('opens an upload with 202 when from is no name: %s', async (from) => {
      expect((await mount(client, client.newRepository(), missingDigest(), from)).status).toBe(202);
    });

    it('opens an upload with 202 when mount is no digest', async () => {
      expect((await mount(client, client.newRepository(), 'latest', 'suite/any')).status).toBe(202);
    });
  });
}

async function pushedElsewhere(client: RegistryClient, algorithm: Algorithm) {
  const [source, target] = [client.newRepository('source'), client.newRepository('target')];
  const bytes = noise(512);
  const digest = await pushBlob(client, source, bytes, algorithm);
  return { source, target, digest, bytes };
}

/** Asks for a mount that cannot be, then uploads the blob. @returns the status of the first answer */
async function mountInVain(
  client: RegistryClient,
  repository: string,
  algorithm: Algorithm,
  from?: string,
): Promise<number> {
  const bytes = noise(512);
  const digest = digestOf(bytes, algorithm);

  const answer = await mount(client, repository, digest, from);

  expect(header(answer, 'docker-content-digest')).toBe('');
  await expect(client).toServeNoBlob(repository, digest);
  await expect(client).toHaveCreatedBlob(
    await putBlob(client, location(answer), digest, bytes),
    digest,
    bytes,
  );
  await expect(client).toServeBlob(repository, digest, bytes);
  await expect(client).toDelete(blobPath(repository, digest));
  return answer.status;
}
