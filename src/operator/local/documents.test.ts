import { describe, expect, it } from 'vitest';

import { ManifestError, readManifests } from './documents.ts';

const REGISTRY = `apiVersion: registry-operator.dev/v1alpha1
kind: Registry
metadata: {name: registry}
spec: {}
`;

function problemsOf(text: string): readonly string[] {
  try {
    readManifests(text, 'file.yaml');
  } catch (error) {
    if (error instanceof ManifestError) return error.problems;
    throw error;
  }
  return [];
}

describe('readManifests', () => {
  it('finds the Registry, and the values of Secrets and ConfigMaps by name', () => {
    const text = `${REGISTRY}---
apiVersion: v1
kind: Secret
metadata: {name: users}
data: {htpasswd: YTpi}
stringData: {other: text}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca}
data: {ca.crt: PEM}
`;

    const { registry, secrets, configMaps } = readManifests(text, 'file.yaml');

    expect(registry).toMatchObject({ kind: 'Registry' });
    expect(Buffer.from(secrets.get('users')?.get('htpasswd') ?? []).toString()).toBe('a:b');
    expect(Buffer.from(secrets.get('users')?.get('other') ?? []).toString()).toBe('text');
    expect(Buffer.from(configMaps.get('ca')?.get('ca.crt') ?? []).toString()).toBe('PEM');
  });

  it('skips empty documents', () => {
    expect(problemsOf(`---\n# nothing\n---\n${REGISTRY}---\n`)).toEqual([]);
  });

  it('reads a bare no as a boolean, as kubectl does', () => {
    const { registry } = readManifests(REGISTRY.replace('{}', '{paused: no}'), 'file.yaml');

    expect(registry).toMatchObject({ spec: { paused: false } });
  });

  it.each([
    ['bad YAML, with its line', `${REGISTRY}  a: [\n`, /^file\.yaml:5:1: [^:]+$/],
    ['a key that stands twice', `${REGISTRY}kind: Registry\n`, /^file\.yaml:5:1: .*unique/],
    ['no Registry', 'apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n', /exactly one Registry .* found 0/],
    ['what is no resource', '{"name": "a"}', /it needs apiVersion and kind/],
    ['two Registries', `${REGISTRY}---\n${REGISTRY}`, /exactly one Registry .* found 2/],
    [
      'another kind',
      `${REGISTRY}---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n`,
      /v1\/Pod: only a Registry/,
    ],
    [
      'a Secret without a name',
      `${REGISTRY}---\napiVersion: v1\nkind: Secret\n`,
      /metadata\.name: Required value/,
    ],
    [
      'a Secret that is not base64',
      `${REGISTRY}---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {key: "?"}\n`,
      /Secret a: data\[key\] is not base64/,
    ],
    [
      'a value that is no string',
      `${REGISTRY}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {key: 1}\n`,
      /data\[key\] must be a string/,
    ],
  ])('refuses %s', (_what, text, expected) => {
    expect(problemsOf(text)[0]).toMatch(expected);
  });

  it('tells the first problem of bad YAML, not all that follow from it', () => {
    expect(problemsOf(`a: 1\n  b: 2\n${REGISTRY}`)).toHaveLength(1);
  });

  it('never repeats the value of a Secret', () => {
    const text = `${REGISTRY}---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {key: "pass word!"}\n`;

    expect(problemsOf(text).join('')).not.toContain('pass word');
  });
});
