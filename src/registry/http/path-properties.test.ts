import {
  anything,
  array,
  assert,
  boolean,
  constantFrom,
  nat,
  oneof,
  property,
  string,
  stringify,
  stringMatching,
  tuple,
  uuid,
  type Arbitrary,
} from 'fast-check';
import { expect, it } from 'vitest';

import { parseDigest } from '../distribution/digest.ts';
import { DistributionError } from '../distribution/errors.ts';
import { parseReference, parseRepositoryName, parseUploadId } from '../distribution/reference.ts';
import { DISCOVER_EXTENSION, parseTarget, REPOSITORY_EXTENSION, type Target } from './path.ts';

/** Any UTF-16 code unit: halves of characters as well. */
const CHARACTER = nat({ max: 0xff_ff }).map((code) => String.fromCharCode(code));

const WORD = oneof(
  stringMatching(/^[a-z0-9]{1,6}(?:[.-][a-z0-9]{1,4}){0,2}$/),
  constantFrom('blobs', 'uploads', 'manifests', 'tags', 'list', 'referrers', 'v2', 'repository', 'oci'),
);
const REPOSITORY = array(WORD, { minLength: 1, maxLength: 5 }).map((words) =>
  parseRepositoryName(words.join('/')),
);
const DIGEST = stringMatching(/^[0-9a-f]{64}$/).map((hex) => parseDigest(`sha256:${hex}`));
const TAG = stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,30}$/);
const REFERENCE = oneof(TAG, DIGEST).map((text) => ({ text, reference: parseReference(String(text)) }));

/** A target, and its path. */
const TARGET: Arbitrary<readonly [Target, string]> = oneof(
  constantFrom<readonly [Target, string]>(
    [{ kind: 'base' }, ''],
    [{ kind: 'catalog' }, '_catalog'],
    [{ kind: 'discover' }, '_oci/ext/discover'],
  ),
  tuple(REPOSITORY, REFERENCE).map(([repository, { reference, text }]) =>
    pair({ kind: 'manifest', repository, reference }, `${repository}/manifests/${text}`),
  ),
  tuple(REPOSITORY, DIGEST).map(([repository, digest]) =>
    pair({ kind: 'blob', repository, digest }, `${repository}/blobs/${digest}`),
  ),
  tuple(REPOSITORY, DIGEST).map(([repository, subject]) =>
    pair({ kind: 'referrers', repository, subject }, `${repository}/referrers/${subject}`),
  ),
  tuple(REPOSITORY, uuid()).map(([repository, id]) =>
    pair({ kind: 'upload', repository, id: parseUploadId(id) }, `${repository}/blobs/uploads/${id}`),
  ),
  tuple(REPOSITORY, boolean()).map(([repository, slash]) =>
    pair({ kind: 'uploads', repository }, `${repository}/blobs/uploads${slash ? '/' : ''}`),
  ),
  REPOSITORY.map((repository) => pair({ kind: 'tags', repository }, `${repository}/tags/list`)),
  REPOSITORY.map((repository) =>
    pair({ kind: 'discover', repository }, `${repository}/${DISCOVER_EXTENSION}`),
  ),
  REPOSITORY.map((repository) =>
    pair({ kind: 'repository', repository }, `${repository}/${REPOSITORY_EXTENSION}`),
  ),
);

function pair(target: Target, path: string): readonly [Target, string] {
  return [target, path];
}

/** Writes some characters as percent escapes, which mean the same (RFC 3986 §2.4); slashes stay. */
function escaped(path: string, choices: readonly number[]): string {
  return path
    .split('')
    .map((character, index) => {
      const choice = choices.length === 0 ? 0 : (choices[index % choices.length] ?? 0);
      if (character === '/' || choice < 3) return character;
      const hex = character.charCodeAt(0).toString(16).padStart(2, '0');
      return `%${choice === 3 ? hex : hex.toUpperCase()}`;
    })
    .join('');
}

it('every target is found again by its path, however it is escaped and whatever query follows', () => {
  const query = oneof(
    constantFrom('', '?'),
    string({ maxLength: 20 }).map((text) => `?${text}`),
  );
  const host = constantFrom('', 'http://registry.example.com', 'HTTPS://[::1]:5000');
  assert(
    property(
      TARGET,
      array(nat({ max: 4 }), { maxLength: 10 }),
      query,
      host,
      ([target, path], choices, more, origin) => {
        expect(parseTarget(`${origin}/v2/${escaped(path, choices)}${more}`)).toEqual(target);
      },
    ),
    { numRuns: 300 },
  );
});

it('any text is a target, nothing, or refused by an error of the protocol', () => {
  const piece = oneof(
    constantFrom(
      '/v2/',
      '/',
      '..',
      '%',
      '%2',
      '%2f',
      '%25',
      '%252F',
      '%00',
      '%c3',
      '%e2%82',
      '?',
      '#',
      '\\',
      '\0',
      ':',
      'http://',
    ),
    constantFrom(
      '_catalog',
      'blobs',
      'uploads',
      'manifests',
      'tags',
      'list',
      'sha256:',
      '_registry-operator',
      'repository',
    ),
    string({ unit: CHARACTER, maxLength: 5 }),
  );
  const text = oneof(
    array(piece, { maxLength: 20 }).map((parts) => parts.join('')),
    anything().map((value) => stringify(value)),
  );
  assert(
    property(text, (url) => {
      let problem: unknown;
      try {
        parseTarget(url);
      } catch (error) {
        problem = error;
      }
      expect(problem === undefined || problem instanceof DistributionError).toBe(true);
    }),
    { numRuns: 500 },
  );
});
