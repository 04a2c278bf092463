import { array, assert, constantFrom, pre, property } from 'fast-check';
import { describe, expect, it, test } from 'vitest';

import { DistributionError } from '../distribution/errors.ts';
import { parseTarget, shownPath } from './path.ts';

const SHA256 = `sha256:${'a'.repeat(64)}`;
const ID = '0b8a6b4e-58a1-4c9f-9f3a-6a2f2d3c4b5a';

function codeOf(url: string): string | undefined {
  try {
    parseTarget(url);
    return undefined;
  } catch (error) {
    if (error instanceof DistributionError) return error.code;
    throw error;
  }
}

describe('parseTarget', () => {
  test.each([
    ['/v2/', { kind: 'base' }],
    ['/v2', { kind: 'base' }],
    ['/v2/?x=1', { kind: 'base' }],
    ['http://registry.example.com:5000/v2/_catalog?n=1', { kind: 'catalog' }],
    ['/v2/_catalog?n=5', { kind: 'catalog' }],
    [`/v2/a/blobs/${SHA256}`, { kind: 'blob', repository: 'a', digest: SHA256 }],
    [`/v2/a/blobs/${SHA256.replace(':', '%3A')}`, { kind: 'blob', repository: 'a', digest: SHA256 }],
    ['/v2/a/b/blobs/uploads', { kind: 'uploads', repository: 'a/b' }],
    ['/v2/a/b/blobs/uploads/', { kind: 'uploads', repository: 'a/b' }],
    [`/v2/a/blobs/uploads/${ID}?digest=x`, { kind: 'upload', repository: 'a', id: ID }],
    ['/v2/a/manifests/v1', { kind: 'manifest', repository: 'a', reference: { kind: 'tag', tag: 'v1' } }],
    ['/v2/a/tags/list', { kind: 'tags', repository: 'a' }],
    ['/v2/_oci/ext/discover', { kind: 'discover' }],
    ['/v2/a/ext/_oci/ext/discover', { kind: 'discover', repository: 'a/ext' }],
    [`/v2/a/b/referrers/${SHA256}?n=1`, { kind: 'referrers', repository: 'a/b', subject: SHA256 }],
    ['/v2/a/b/_registry-operator/repository', { kind: 'repository', repository: 'a/b' }],
  ])('reads %s', (url, target) => {
    expect(parseTarget(url)).toEqual(target);
  });

  test.each([
    ['/v2/blobs/uploads/manifests/latest', 'manifest', 'blobs/uploads'],
    ['/v2/a/manifests/b/tags/list', 'tags', 'a/manifests/b'],
    ['/v2/tags/list/blobs/uploads/', 'uploads', 'tags/list'],
    [`/v2/manifests/blobs/blobs/${SHA256}`, 'blob', 'manifests/blobs'],
    [`/v2/uploads/blobs/uploads/${ID}`, 'upload', 'uploads'],
    ['/v2/list/manifests/list', 'manifest', 'list'],
  ])('reads %s from its end', (url, kind, repository) => {
    expect(parseTarget(url)).toMatchObject({ kind, repository });
  });

  test.each([
    '/',
    '/v1/',
    '/v2x/a/tags/list',
    '/v2/a',
    '/v2/a/b',
    '/v2/a/tags/all',
    '/v2/_oci/ext/other',
    '/v2/a/_oci/ext/other',
    '/v2/a/oci/ext/discover',
    '/v2/a/_registry-operator/other',
    '/v2/a/_other/repository',
    `/v2/a/uploads/${ID}`,
  ])('knows no endpoint %s', (url) => {
    expect(parseTarget(url)).toBeUndefined();
  });

  test.each([
    ['/v2/a%2fb/tags/list', 'NAME_INVALID'],
    ['/v2/a%252fb/tags/list', 'NAME_INVALID'],
    ['/v2/a%5Cb/tags/list', 'NAME_INVALID'],
    ['/v2/a%00/tags/list', 'NAME_INVALID'],
    ['/v2/a%0a/tags/list', 'NAME_INVALID'],
    ['/v2/a%zz/tags/list', 'NAME_INVALID'],
    ['/v2/../tags/list', 'NAME_INVALID'],
    ['/v2/%2e%2e/tags/list', 'NAME_INVALID'],
    ['/v2/%252e%252e/tags/list', 'NAME_INVALID'],
    ['/v2/a//tags/list', 'NAME_INVALID'],
    ['/v2//tags/list', 'NAME_INVALID'],
    ['/v2/tags/list', 'NAME_INVALID'],
    ['/v2/A/tags/list', 'NAME_INVALID'],
    ['/v2/a/tags/list/', 'NAME_INVALID'],
    ['/v2/a/manifests/v1/', 'NAME_INVALID'],
    [`/v2/${'a'.repeat(256)}/tags/list`, 'NAME_INVALID'],
    ['/v2/_uploads/tags/list', 'NAME_INVALID'],
    ['/v2/a/manifests/.v1', 'TAG_INVALID'],
    ['/v2/a/manifests/sha256:abc', 'DIGEST_INVALID'],
    ['/v2/a/blobs/sha256:baddigeststring', 'DIGEST_INVALID'],
    ['/v2/a/blobs/..', 'NAME_INVALID'],
    ['/v2/a/blobs/uploads/not-a-uuid', 'BLOB_UPLOAD_UNKNOWN'],
    ['/v2/a/blobs/uploads/%2e%2e', 'NAME_INVALID'],
  ])('refuses %s with %s', (url, code) => {
    expect(codeOf(url)).toBe(code);
  });

  it('finds every repository name again, whatever words of the protocol it contains', () => {
    const word = constantFrom('a', 'blobs', 'manifests', 'tags', 'uploads', 'list', 'x-y', '0__1', 'v2');
    const name = array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join('/'));
    assert(
      property(name, (repository) => {
        expect(parseTarget(`/v2/${repository}/tags/list`)).toMatchObject({ kind: 'tags', repository });
        expect(parseTarget(`/v2/${repository}/manifests/list`)).toMatchObject({
          kind: 'manifest',
          repository,
        });
        expect(parseTarget(`/v2/${repository}/blobs/${SHA256}`)).toMatchObject({ kind: 'blob', repository });
        expect(parseTarget(`/v2/${repository}/blobs/uploads/`)).toMatchObject({
          kind: 'uploads',
          repository,
        });
        expect(parseTarget(`/v2/${repository}/blobs/uploads/${ID}`)).toMatchObject({ id: ID, repository });
      }),
    );
  });

  it('answers any text with a target, nothing, or an error of the protocol, and names never escape', () => {
    const piece = constantFrom(
      '/',
      '..',
      '.',
      '%2e',
      '%2f',
      '%',
      'a',
      'tags',
      'list',
      'blobs',
      '\\',
      '\u0000',
      'ä',
    );
    assert(
      property(array(piece, { maxLength: 12 }), (pieces) => {
        const url = `/v2/${pieces.join('')}`;
        pre(codeOf(url) === undefined);
        const target = parseTarget(url);
        const repository = target && 'repository' in target ? target.repository : 'a';
        expect(repository).toMatch(/^[a-z0-9]+([/._-]+[a-z0-9]+)*$/);
      }),
    );
  });
});

describe('shownPath', () => {
  test.each([
    ['/v2/a/tags/list?n=1', '/v2/a/tags/list'],
    ['/v2/?u=http://joe:secret@x/', '/v2/'],
    ['http://joe:secret@x/v2/a/tags/list?n=1', '/v2/a/tags/list'],
    ['ftp://joe:secret@x/v2/', '/v2/'],
    ['HTTPS://joe:secret@x?n=1', ''],
    ['*', '*'],
  ])('shows of %s only %j', (target, shown) => {
    expect(shownPath(target)).toBe(shown);
  });
});
