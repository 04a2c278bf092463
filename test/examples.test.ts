import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';

import { parseRegistry } from '../src/api/v1alpha1/parse.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FILES = globSync('examples/*.yaml', { cwd: ROOT });

/** The documents of a file as kubectl reads them, which is YAML 1.1. */
function documents(file: string): { kind?: string }[] {
  return parseAllDocuments(readFileSync(join(ROOT, file), 'utf8'), { version: '1.1' }).map((document) =>
    document.toJS(),
  );
}

test('there are examples', () => {
  expect(FILES).toContain('examples/quickstart.yaml');
});

describe.each(FILES)('%s', (file) => {
  test('holds Registries that are accepted as they are', () => {
    const registries = documents(file).filter(({ kind }) => kind === 'Registry');

    expect(registries).not.toHaveLength(0);
    expect(registries.map((registry) => parseRegistry(registry).errors)).toEqual(
      registries.map(() => undefined),
    );
  });

  test('holds no Secret, so that nobody runs with a password that everybody knows', () => {
    expect(documents(file).map(({ kind }) => kind)).not.toContain('Secret');
  });
});
