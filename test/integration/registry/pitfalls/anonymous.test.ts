/**
 * What clients without a password may do where they may do something, and deletes that are switched off. Advisories:
 * CVE-2022-46463, CVE-2024-22278, CVE-2026-41888 (GHSA-6pjf-3r9x-m592).
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';

import { manifestOf, sha256 } from '../content.ts';
import {
  OPEN_TO_ALL,
  pushBlob,
  pushImage,
  putManifest,
  refusalOf,
  startPitfallServer,
  startUpload,
  type PitfallServer,
} from './server.ts';

const ADA = 'ada:secret';

describe('where everybody may pull and users may push', () => {
  let server: PitfallServer;

  beforeAll(async () => {
    server = await startPitfallServer(async (folder) => {
      const htpasswd = join(folder, 'htpasswd');
      await writeFile(htpasswd, `ada:${hashSync('secret', 4)}\n`);
      return { auth: { anonymous: 'Pull', basic: { htpasswdFiles: [htpasswd] } } };
    });
    await pushImage(server, 'open', 'v1', ADA);
  });
  afterAll(() => server.stop());

  it('CVE-2022-46463: strangers see the names, tags and content, as it is documented', async () => {
    for (const target of [
      '/v2/_catalog',
      '/v2/open/tags/list',
      '/v2/open/manifests/v1',
      `/v2/open/blobs/${sha256('{}')}`,
    ]) {
      expect((await server.call(target)).status).toBe(200);
    }
  });

  it('CVE-2024-22278: strangers change nothing', async () => {
    const session = await startUpload(server, 'open', ADA);
    for (const [method, target] of [
      ['POST', '/v2/open/blobs/uploads/'],
      ['POST', `/v2/other/blobs/uploads/?mount=${sha256('{}')}&from=open`],
      ['PATCH', session],
      ['PUT', `${session}?digest=${sha256('')}`],
      ['GET', session],
      ['DELETE', session],
      ['PUT', '/v2/open/manifests/v2'],
      ['DELETE', '/v2/open/manifests/v1'],
      ['DELETE', `/v2/open/blobs/${sha256('{}')}`],
      ['DELETE', '/v2/open/_registry-operator/repository'],
    ]) {
      expect(refusalOf(await server.call(String(target), { method: String(method) }))).toBe(
        '401 UNAUTHORIZED',
      );
    }
  });

  test.each(['ada:wrong', 'nobody:x', 'ada:', ':x'])(
    '%s is refused, although no password is needed',
    async (user) => {
      for (const target of [
        '/v2/',
        '/v2/_catalog',
        '/v2/open/manifests/v1',
        `/v2/open/blobs/${sha256('{}')}`,
      ]) {
        for (const method of ['GET', 'HEAD'])
          expect((await server.call(target, { user, method })).status).toBe(401);
      }
    },
  );

  it('is as healthy as before', async () => {
    expect(await server.problems()).toEqual([]);
  });
});

describe('CVE-2026-41888: where nothing may be deleted', () => {
  let server: PitfallServer;

  beforeAll(async () => {
    server = await startPitfallServer({ auth: OPEN_TO_ALL, delete: { enabled: false } });
    await pushImage(server, 'kept', 'v1');
  });
  afterAll(() => server.stop());

  it('every delete is refused, by tag, by digest, of a blob and of a repository', async () => {
    const digest = sha256(manifestOf({ repository: 'kept', reference: 'v1' }));
    for (const target of [
      '/v2/kept/manifests/v1',
      '/v2/kept/manifests/%76%31',
      `/v2/kept/manifests/${digest}`,
      `/v2/kept/manifests/${digest.replace(':', '%3A')}`,
      `/v2/kept/blobs/${sha256('{}')}`,
      '/v2/kept/_registry-operator/repository',
      '/v2/missing/manifests/v1',
    ]) {
      const answer = await server.call(target, { method: 'DELETE' });
      expect(refusalOf(answer)).toBe('405 UNSUPPORTED');
      expect(String(answer.headers.allow)).not.toContain('DELETE');
    }
    expect((await server.call('/v2/kept/manifests/v1')).status).toBe(200);
    expect((await server.call(`/v2/kept/blobs/${sha256('{}')}`)).status).toBe(200);
  });

  it('no other method deletes', async () => {
    for (const header of ['x-http-method-override', 'x-method-override']) {
      await server.call('/v2/kept/manifests/v1', { method: 'POST', headers: { [header]: 'DELETE' } });
    }
    const put = await putManifest(server, '/v2/kept/manifests/v1', '');

    expect(put.status).toBe(400);
    expect((await server.call('/v2/kept/manifests/v1')).status).toBe(200);
  });

  it('an upload can be cancelled all the same', async () => {
    const session = await startUpload(server, 'kept');

    expect((await server.call(session, { method: 'DELETE' })).status).toBe(204);
  });

  it('content can be pushed and tags be moved all the same', async () => {
    await pushBlob(server, 'kept', 'new');

    expect((await putManifest(server, '/v2/kept/manifests/v1', manifestOf({ moved: 'yes' }))).status).toBe(
      201,
    );
  });

  it('is as healthy as before', async () => {
    expect(await server.problems()).toEqual([]);
  });
});
