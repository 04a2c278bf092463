import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { DistributionError } from './errors.ts';
import { parseManifest } from './manifest-parser.ts';
import { OCI_INDEX, OCI_MANIFEST } from './media-types.ts';
import { describeReferrer } from './referrer-description.ts';
import { digestOf } from './testing.ts';

const DIGEST = digestOf('x');
const CONFIG = { mediaType: 'application/vnd.oci.empty.v1+json', digest: DIGEST, size: 2 };

test('says of every manifest that can be pushed what the specification asks for', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20 });
  const annotations = fc.option(fc.dictionary(text, text), { nil: undefined });
  const artifactType = fc.option(fc.constantFrom('', 'application/spdx+json', 'free text'), {
    nil: undefined,
  });
  const subject = fc.option(fc.constantFrom(digestOf('a'), digestOf('b', 'sha512')), { nil: undefined });
  const more = fc.dictionary(fc.constantFrom('x', 'org.example', 'Layer'), fc.jsonValue());
  const index = fc.boolean();
  fc.assert(
    fc.property(
      fc.record({ annotations, artifactType, subject, more, index }),
      ({ annotations: notes, artifactType: type, subject: about, more: rest, index: isIndex }) => {
        const mediaType = isIndex ? OCI_INDEX : OCI_MANIFEST;
        const content = isIndex ? { manifests: [] } : { config: CONFIG, layers: [] };
        const named = about && { subject: { ...CONFIG, digest: about } };
        const document = { ...rest, schemaVersion: 2, mediaType, ...content, ...named };
        const bytes = Buffer.from(JSON.stringify({ ...document, annotations: notes, artifactType: type }));

        expect(parseManifest(bytes, mediaType).content.subject).toBe(about);
        const description = describeReferrer(DIGEST, bytes);

        const expectedType = type || (isIndex ? undefined : CONFIG.mediaType);
        expect(description.subject).toBe(about);
        expect(description.artifactType).toBe(expectedType);
        expect(description.bytes).toBe(Buffer.byteLength(description.json));
        const noted = notes && Object.keys(notes).length > 0 ? { annotations: notes } : {};
        expect(JSON.parse(description.json)).toEqual({
          mediaType,
          digest: DIGEST,
          size: bytes.length,
          ...(expectedType === undefined ? {} : { artifactType: expectedType }),
          ...JSON.parse(JSON.stringify(noted)),
        });
      },
    ),
    { numRuns: 120 },
  );
});

test('leaves out what clients could not read, of manifests that another server has taken', () => {
  const described = (document: object): unknown =>
    JSON.parse(describeReferrer(DIGEST, Buffer.from(JSON.stringify(document))).json);

  expect(
    described({ annotations: { a: 1, b: 'b', c: null }, artifactType: 7, config: { mediaType: 8 } }),
  ).toEqual({
    mediaType: OCI_MANIFEST,
    digest: DIGEST,
    size: expect.any(Number),
    annotations: { b: 'b' },
  });
  for (const annotations of [[], 'x', 7, null, { a: {} }]) {
    expect(described({ annotations, config: null })).not.toHaveProperty('annotations');
  }
});

test('either describes or refuses with its own error, whatever the bytes', () => {
  const members = fc.constantFrom(
    'subject',
    'config',
    'annotations',
    'artifactType',
    'manifests',
    'mediaType',
  );
  const documents = fc.oneof(fc.dictionary(members, fc.jsonValue()), fc.jsonValue());
  fc.assert(
    fc.property(documents, (document) => {
      let outcome: unknown;
      try {
        outcome = JSON.parse(describeReferrer(DIGEST, Buffer.from(JSON.stringify(document))).json);
      } catch (error) {
        outcome = error;
      }
      expect(outcome instanceof DistributionError || typeof outcome === 'object').toBe(true);
      expect(outcome).not.toBeInstanceOf(TypeError);
    }),
    { numRuns: 500 },
  );
});
