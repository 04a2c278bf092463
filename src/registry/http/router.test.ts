import { describe, expect, it, test } from 'vitest';

import type { Action } from '../auth/types.ts';
import { parseTarget, type TargetKind } from './path.ts';
import { type Endpoint, type Endpoints, match, MethodNotAllowed } from './router.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

function endpoint<K extends TargetKind>(actions: Record<string, Action>): Endpoint<K> {
  return new Map(
    Object.entries(actions).map(([method, action]) => [method, { action, handle: () => Promise.resolve() }]),
  );
}

const ENDPOINTS: Endpoints = {
  base: endpoint({ GET: 'ping' }),
  catalog: endpoint({ GET: 'catalog' }),
  discover: endpoint({ GET: 'catalog' }),
  blob: endpoint({ GET: 'pull', HEAD: 'pull', DELETE: 'delete' }),
  uploads: endpoint({ POST: 'push' }),
  upload: endpoint({ PATCH: 'push', DELETE: 'push' }),
  manifest: endpoint({ GET: 'pull', PUT: 'push', DELETE: 'delete' }),
  tags: endpoint({ GET: 'pull' }),
  referrers: endpoint({ GET: 'pull' }),
  repository: endpoint({ DELETE: 'delete' }),
};

function matchPath(path: string, method: string, deletes: boolean): unknown {
  const target = parseTarget(path);
  if (!target) throw new Error(`${path} names nothing`);
  try {
    return match(ENDPOINTS, target, method, deletes).action;
  } catch (error) {
    if (!(error instanceof MethodNotAllowed)) throw error;
    return { status: error.status, allow: error.allowed.join(', '), message: error.message };
  }
}

describe('a method that is not there', () => {
  it('is answered with those that are', () => {
    expect(matchPath(`/v2/a/blobs/${DIGEST}`, 'POST', true)).toEqual({
      status: 405,
      allow: 'GET, HEAD, DELETE',
      message: 'the method is not supported here',
    });
  });
});

describe('without deletes', () => {
  test.each([
    [`/v2/a/blobs/${DIGEST}`, 'GET, HEAD'],
    [`/v2/a/manifests/${DIGEST}`, 'GET, PUT'],
    ['/v2/a/manifests/latest', 'GET, PUT'],
    ['/v2/a/_registry-operator/repository', ''],
  ])('refuses to delete %s and names the setting', (path, allow) => {
    expect(matchPath(path, 'DELETE', false)).toEqual({
      status: 405,
      allow,
      message: 'deleting is switched off in this registry (delete.enabled)',
    });
  });

  it('does not offer to delete when another method is refused', () => {
    expect(matchPath(`/v2/a/blobs/${DIGEST}`, 'POST', false)).toMatchObject({ allow: 'GET, HEAD' });
  });

  it('goes on to pull, to push and to cancel uploads', () => {
    expect(matchPath(`/v2/a/blobs/${DIGEST}`, 'GET', false)).toBe('pull');
    expect(matchPath('/v2/a/manifests/latest', 'PUT', false)).toBe('push');
    const upload = '/v2/a/blobs/uploads/0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a';
    expect(matchPath(upload, 'DELETE', false)).toBe('push');
  });
});
