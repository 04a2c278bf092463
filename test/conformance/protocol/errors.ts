import { describe, expect, it } from 'vitest';

import { type Answer, codes, header, json, type RegistryClient } from './client.ts';
import { missingDigest, OCI_MANIFEST, uniqueImage } from './content.ts';
import { blobPath, manifestPath, openUpload, putBlob, pushEmptyJson, uploads } from './pushing.ts';

interface ErrorBody {
  readonly errors: readonly { code: string; message?: string; detail?: unknown }[];
}

/** Requests that fail, each for another reason, and the code that says which. */
const FAILURES: readonly [
  code: string,
  status: number,
  request: (client: RegistryClient, repository: string) => Promise<Answer>,
][] = [
  ['BLOB_UNKNOWN', 404, (client, repository) => client.get(blobPath(repository, missingDigest()))],
  [
    'BLOB_UPLOAD_UNKNOWN',
    404,
    (client, repository) => client.get(`${uploads(repository)}${crypto.randomUUID()}`),
  ],
  [
    'DIGEST_INVALID',
    400,
    async (client, repository) =>
      putBlob(client, await openUpload(client, repository), missingDigest(), 'other bytes'),
  ],
  [
    'MANIFEST_INVALID',
    400,
    (client, repository) =>
      client.send('PUT', manifestPath(repository, 'latest'), {
        headers: { 'content-type': OCI_MANIFEST },
        body: '{"schemaVersion":',
      }),
  ],
  ['MANIFEST_UNKNOWN', 404, (client, repository) => client.get(manifestPath(repository, 'none'))],
  ['NAME_INVALID', 400, (client) => client.get('/v2/UPPER/tags/list')],
  ['NAME_UNKNOWN', 404, (client) => client.get('/v2/no/such/repository/tags/list')],
  [
    'SIZE_INVALID',
    400,
    async (client, repository) =>
      client.send('PATCH', await openUpload(client, repository), {
        headers: { 'content-type': 'application/octet-stream', 'content-range': '0-99' },
        body: 'ten bytes.',
      }),
  ],
  ['UNSUPPORTED', 405, (client, repository) => client.send('PUT', `/v2/${repository}/tags/list`)],
];

export function describeErrors(client: RegistryClient): void {
  describe('Error Codes', () => {
    it.each(FAILURES)(
      'answers %s with status %i as JSON of the given form',
      async (code, status, request) => {
        const repository = client.newRepository();
        await pushEmptyJson(client, repository);

        const answer = await request(client, repository);

        expect(answer.status).toBe(status);
        expect(header(answer, 'content-type')).toBe('application/json');
        const { errors } = json(answer) as ErrorBody;
        expect(errors.map((error) => error.code)).toEqual([code]);
        expect(errors[0]?.message).toMatch(/^\S/);
      },
    );

    it('uses only capitals and underscores in a code', () => {
      expect(FAILURES.map(([code]) => code).filter((code) => !/^[A-Z_]+$/.test(code))).toEqual([]);
    });

    it('answers a failed HEAD without a body', async () => {
      const answer = await client.head(blobPath(client.newRepository(), missingDigest()));

      expect(answer.status).toBe(404);
      expect(answer.body).toHaveLength(0);
    });
  });

  describe('API: methods', () => {
    it('says with 405 what an endpoint takes', async () => {
      const answer = await client.send('POST', manifestPath(client.newRepository(), 'latest'));

      expect(answer.status).toBe(405);
      expect(header(answer, 'allow').split(', ').toSorted()).toEqual(['DELETE', 'GET', 'HEAD', 'PUT']);
    });

    it('answers 404 to a path that no endpoint has', async () => {
      expect((await client.get(`/v2/${client.newRepository()}/layers/latest`)).status).toBe(404);
    });
  });

  describeUnauthorized(client);
}

function describeUnauthorized(client: RegistryClient): void {
  describe('Error Codes: UNAUTHORIZED', () => {
    const requests: readonly [method: string, path: string][] = [
      ['GET', '/v2/'],
      ['GET', blobPath('suite/private', missingDigest())],
      ['POST', uploads('suite/private')],
      ['PUT', manifestPath('suite/private', 'latest')],
      ['DELETE', manifestPath('suite/private', 'latest')],
      ['GET', '/v2/suite/private/tags/list'],
      ['GET', `/v2/suite/private/referrers/${missingDigest()}`],
    ];

    it.each(requests)('asks for a password where users are needed: %s %s', async (method, path) => {
      const answer = await client.send(method, path, { user: null, body: method === 'PUT' ? 'x' : '' });

      const needed = client.connection.user !== undefined;
      expect(answer.status === 401).toBe(needed);
      expect(header(answer, 'www-authenticate')).toBe(needed ? 'Basic realm="registry"' : '');
      expect(needed ? codes(answer) : ['UNAUTHORIZED']).toEqual(['UNAUTHORIZED']);
    });

    it('lets a client repeat a large push with its password after it was asked for it', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      const { bytes, descriptor } = uniqueImage({ annotations: { large: 'A'.repeat(3_900_000) } });
      const push = (user?: null) =>
        client.send('PUT', manifestPath(repository, 'large'), {
          headers: { 'content-type': descriptor.mediaType },
          chunks: [bytes],
          ...(user === null ? { user } : {}),
        });

      expect((await push(null)).status).toBe(client.connection.user === undefined ? 201 : 401);
      expect((await push()).status).toBe(201);
    });

    it('does not let a wrong password in where users are needed', async () => {
      const answer = await client.send('GET', '/v2/', { user: 'suite:wrong' });

      expect(answer.status).toBe(client.connection.user === undefined ? 200 : 401);
    });
  });

  describe('Error Codes: a refused push', () => {
    it('changes nothing', async () => {
      const repository = client.newRepository();
      await pushEmptyJson(client, repository);
      const { bytes } = uniqueImage();

      const answer = await client.send('PUT', manifestPath(repository, missingDigest()), {
        headers: { 'content-type': OCI_MANIFEST },
        body: bytes,
      });

      expect(answer.status).toBe(400);
      expect(codes(answer)).toEqual(['DIGEST_INVALID']);
      const list = await client.get(`/v2/${repository}/tags/list`);
      expect(json(list)).toEqual({ name: repository, tags: [] });
    });
  });
}
