import { describe, expect, test } from 'vitest';

import { parseRegistry } from './parse.ts';

const least = {
  apiVersion: 'registry-operator.dev/v1alpha1',
  kind: 'Registry',
  metadata: { name: 'registry' },
  spec: {
    storage: { type: 'Filesystem', filesystem: { volumeClaim: { size: '10Gi' } } },
    auth: { anonymous: 'PullPush' },
  },
};

describe('parseRegistry', () => {
  test('fills in every default', () => {
    expect(parseRegistry(least).registry).toEqual({
      apiVersion: 'registry-operator.dev/v1alpha1',
      kind: 'Registry',
      metadata: { name: 'registry', namespace: 'default' },
      spec: {
        replicas: 1,
        deletionPolicy: 'Retain',
        storage: {
          type: 'Filesystem',
          filesystem: { volumeClaim: { size: '10Gi', accessMode: 'ReadWriteOnce' } },
        },
        tls: { type: 'SelfSigned', minVersion: 'TLS12' },
        auth: { anonymous: 'PullPush' },
      },
    });
  });

  test('does not change what it is given', () => {
    const frozen = Object.freeze({ ...least, spec: Object.freeze({ ...least.spec, tls: null }) });

    expect(parseRegistry(frozen).registry?.spec.tls.type).toBe('SelfSigned');
    expect(frozen.spec.tls).toBeNull();
  });

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['text', 'kind: Registry'],
    ['a list', [least]],
    ['an empty object', {}],
    ['another kind', { ...least, kind: 'Secret' }],
    ['another version', { ...least, apiVersion: 'registry-operator.dev/v1' }],
    ['no metadata', { ...least, metadata: null }],
    ['no name', { ...least, metadata: {} }],
    ['a name that leads out of a folder', { ...least, metadata: { name: '../x' } }],
    ['a namespace that leads out of a folder', { ...least, metadata: { name: 'x', namespace: '..' } }],
  ])('refuses %s', (_title, document) => {
    const { registry, errors } = parseRegistry(document);

    expect(registry).toBeUndefined();
    expect(errors).not.toHaveLength(0);
  });

  test('tells misspelt fields and wrong values together', () => {
    const wrong = { ...least, spec: { ...least.spec, replica: 2, replicas: 99 } };

    expect(parseRegistry(wrong).errors).toEqual([
      'unknown field "spec.replica"',
      'spec.replicas: Invalid value: 99: spec.replicas in body should be less than or equal to 50',
    ]);
  });

  test('keeps a status that it understands and drops one that it does not', () => {
    const condition = {
      type: 'Ready',
      status: 'True',
      lastTransitionTime: '2026-11-21T10:00:00Z',
      reason: 'AsExpected',
      message: '',
    };

    expect(parseRegistry({ ...least, status: { conditions: [condition] } }).registry?.status).toEqual({
      conditions: [condition],
    });
    expect(parseRegistry({ ...least, status: { replicas: 'many' } }).registry).not.toHaveProperty('status');
  });

  test('runs the rules on changes only when there was a Registry before', () => {
    const old = parseRegistry(least).registry;
    const smaller = structuredClone(least);
    smaller.spec.storage.filesystem.volumeClaim.size = '5Gi';

    expect(parseRegistry(smaller).errors).toBeUndefined();
    expect(parseRegistry(smaller, old).errors).toEqual([
      'spec.storage.filesystem.volumeClaim.size: Invalid value: "object": size cannot shrink from 10Gi to 5Gi; volumes can only grow',
    ]);
  });

  test('reads what a newer operator has stored when asked to', () => {
    const newer = {
      ...least,
      spec: { ...least.spec, exposures: [] },
      status: { mode: 'ReadOnly', replicas: 1 },
    };

    expect(parseRegistry(newer).errors).toEqual([
      'unknown field "spec.exposures"',
      'unknown field "status.mode"',
    ]);
    expect(parseRegistry(newer, undefined, { unknownFields: 'Prune' }).registry?.status).toEqual({
      replicas: 1,
    });
  });
});
