import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseDigest } from './digest.ts';
import {
  blobDataKey,
  layerLinkKey,
  revisionLinkKey,
  tagCurrentKey,
  tagIndexKey,
  uploadDataKey,
  uploadSealedKey,
  uploadStartedKey,
} from './layout.ts';
import { isRepositoryName, isTag, parseRepositoryName, parseTag, parseUploadId } from './reference.ts';

const HEX = 'ab'.repeat(32);
const DIGEST = parseDigest(`sha256:${HEX}`);
const NAME = parseRepositoryName('library/alpine');
const TAG = parseTag('3.20');
const ID = parseUploadId('0f8fad5b-d9cb-469f-a165-70867728950e');
const REPOSITORY = 'docker/registry/v2/repositories/library/alpine';

test('keys are those of distribution', () => {
  expect({
    blob: blobDataKey(DIGEST),
    layer: layerLinkKey(NAME, DIGEST),
    revision: revisionLinkKey(NAME, DIGEST),
    current: tagCurrentKey(NAME, TAG),
    index: tagIndexKey(NAME, TAG, DIGEST),
    data: uploadDataKey(NAME, ID),
    started: uploadStartedKey(NAME, ID),
    sealed: uploadSealedKey(NAME, ID),
  }).toEqual({
    blob: `docker/registry/v2/blobs/sha256/ab/${HEX}/data`,
    layer: `${REPOSITORY}/_layers/sha256/${HEX}/link`,
    revision: `${REPOSITORY}/_manifests/revisions/sha256/${HEX}/link`,
    current: `${REPOSITORY}/_manifests/tags/3.20/current/link`,
    index: `${REPOSITORY}/_manifests/tags/3.20/index/sha256/${HEX}/link`,
    data: `${REPOSITORY}/_uploads/${ID}/data`,
    started: `${REPOSITORY}/_uploads/${ID}/startedat`,
    sealed: `${REPOSITORY}/_uploads/${ID}/sealed`,
  });
});

test('no name makes a key outside of its repository', () => {
  const names = fc.string({ unit: fc.constantFrom(...'ab01._-/'.split('')), minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(names, names, (name, tag) => {
      if (!isRepositoryName(name) || !isTag(tag)) return;

      const key = tagCurrentKey(name, tag);

      expect(key.startsWith(`docker/registry/v2/repositories/${name}/_manifests/tags/`)).toBe(true);
      expect(key).toMatch(/^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/);
      expect(key.split('/').some((segment) => segment === '.' || segment === '..')).toBe(false);
    }),
  );
});
