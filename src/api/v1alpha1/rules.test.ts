import { array, assert, nat, oneof, property, stringMatching } from 'fast-check';
import { describe, expect, test } from 'vitest';

import { StorageConfig } from '../registry-config.ts';
import { parseRegistry } from './parse.ts';
import { RULES } from './rules.ts';

describe('rules', () => {
  test('are told apart by place and message', () => {
    const keys = RULES.map(({ path, message }) => `${path}: ${message}`);

    expect(new Set(keys).size).toBe(keys.length);
  });

  test('compare with the former object exactly when their CEL does', () => {
    expect(RULES.filter(({ cel, transition }) => cel.includes('oldSelf') !== transition)).toEqual([]);
  });

  test('give a reason when they name a field, because the API server needs both', () => {
    expect(RULES.filter(({ fieldPath, reason }) => fieldPath !== undefined && reason === undefined)).toEqual(
      [],
    );
  });

  test('read optional fields only in ways whose cost the API server can bound', () => {
    expect(RULES.filter(({ cel }) => /\.\?|optional/.test(cel))).toEqual([]);
  });
});

test('an endpoint that is accepted is a URL for the registry server too', () => {
  const label = stringMatching(/^[a-z0-9-]{1,6}$/);
  const host = array(oneof(label, nat(300).map(String)), { minLength: 1, maxLength: 4 });
  assert(
    property(host, nat(70_000), (labels, port) => {
      const endpoint = `https://${labels.join('.')}:${port}`;
      const parsed = parseRegistry({
        apiVersion: 'registry-operator.dev/v1alpha1',
        kind: 'Registry',
        metadata: { name: 'registry' },
        spec: { storage: { type: 'S3', s3: { bucket: 'content', endpoint } }, auth: { anonymous: 'Pull' } },
      });
      const server = StorageConfig.safeParse({ driver: 's3', bucket: 'content', endpoint });

      expect(parsed.errors === undefined && !server.success).toBe(false);
    }),
    { numRuns: 1000 },
  );
});
