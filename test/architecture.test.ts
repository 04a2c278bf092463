import { globSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from 'vitest';

import { isForTests, LAYERS, layerOf, typesOfHalf, type Layer } from './helpers/import-rules.ts';
import { importedModules, packageName, resolveImport, type ImportedModule } from './helpers/imports.ts';

const SRC = fileURLToPath(new URL('../src', import.meta.url));
const FILES = globSync('**/*.ts', { cwd: SRC }).toSorted();

/** @returns one line for each import of the file that its layer does not allow */
function violations(path: string, source: string): string[] {
  const layer = layerOf(path);
  if (layer === undefined) {
    return [`${path} belongs to no layer: give it a place in test/helpers/import-rules.ts`];
  }
  return [
    ...importedModules(path, source)
      .filter((imported) => !isAllowed(layer, path, imported))
      .map(({ kind, specifier }) => `${layer.name} must not use ${specifier} (${kind})`),
    ...vendorMixes(layer, path, source),
  ];
}

function isAllowed(layer: Layer, path: string, imported: ImportedModule): boolean {
  const target = resolveImport(path, imported.specifier);
  if (target !== undefined) {
    return mayUseFile(layer, path, target, imported);
  }
  if (isBuiltin(imported.specifier)) {
    return imported.specifier.startsWith('node:') && mayUseBuiltin(layer, imported.specifier);
  }
  return isForTests(path) || mayUsePackage(layer, imported);
}

function mayUseFile(layer: Layer, path: string, target: string, { kind }: ImportedModule): boolean {
  if (isForTests(target) && !isForTests(path)) {
    return false;
  }
  const files = [
    ...(layer.uses ?? []),
    ...(kind === 'type' ? [...(layer.usesTypes ?? []), ...typesOfHalf(path)] : []),
    ...(kind === 'lazy' ? (layer.loads ?? []) : []),
  ];
  return isOwnFile(layer, path, target) || files.some((pattern) => pattern.test(target));
}

/** Drivers are a layer of strangers: each knows the files of its own folder only. */
function isOwnFile(layer: Layer, path: string, target: string): boolean {
  if (layer.name === 'storage driver') {
    return driverOf(path) === driverOf(target);
  }
  return layer.files.test(target);
}

function driverOf(path: string): string | undefined {
  return /^registry\/storage\/drivers\/([^/.]+)/.exec(path)?.[1];
}

function mayUseBuiltin(layer: Layer, specifier: string): boolean {
  return (layer.builtins?.includes(specifier) ?? true) && !layer.deniedBuiltins?.includes(specifier);
}

/** A name that ends in a slash allows every package of a scope. */
function mayUsePackage(layer: Layer, { kind, specifier }: ImportedModule): boolean {
  const names = [...(layer.packages ?? []), ...(kind === 'type' ? (layer.packageTypes ?? []) : [])];
  const wanted = packageName(specifier);
  return names.some((name) => (name.endsWith('/') ? wanted.startsWith(name) : wanted === name));
}

/** A driver speaks to one vendor. */
function vendorMixes(layer: Layer, path: string, source: string): string[] {
  if (layer.name !== 'storage driver') {
    return [];
  }
  const vendors = importedModules(path, source)
    .filter(({ specifier }) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .map(({ specifier }) => (specifier.startsWith('@smithy/') ? '@aws-sdk' : specifier.split('/')[0]));
  const distinct = [...new Set(vendors)];
  return distinct.length > 1
    ? [`${layer.name} must not use more than one vendor: ${distinct.join(', ')}`]
    : [];
}

describe('imports of', () => {
  test.each(FILES)('%s follow the layers', (path) => {
    const source = readFileSync(join(SRC, path), 'utf8');

    expect(violations(path, source)).toEqual([]);
  });
});

describe('the check of imports', () => {
  const planted: [path: string, source: string, complaint: string][] = [
    [
      'api/group.ts',
      "import { AppError } from '../shared/errors.ts';",
      'api must not use ../shared/errors.ts (value)',
    ],
    ['registry/http/path.ts', "import fs from 'fs';", 'http must not use fs (value)'],
    [
      'registry/http/path.ts',
      "import type { StorageError } from '../storage/errors.ts';",
      'http must not use ../storage/errors.ts (type)',
    ],
    [
      'registry/distribution/digest.ts',
      "export * from 'node:fs/promises';",
      'distribution must not use node:fs/promises (value)',
    ],
    [
      'registry/storage/drivers/memory.ts',
      "import { FilesystemDriver } from './filesystem.ts';",
      'storage driver must not use ./filesystem.ts (value)',
    ],
    [
      'registry/storage/create.ts',
      "import { MemoryDriver } from './drivers/memory.ts';",
      'storage factory must not use ./drivers/memory.ts (value)',
    ],
    [
      'registry/auth/policy.ts',
      "import { facts } from '../../operator/controllers/registry/facts.ts';",
      'auth must not use ../../operator/controllers/registry/facts.ts (value)',
    ],
    [
      'operator/controllers/registry/resources/service.ts',
      "const { desired } = await import('../desired.ts');",
      'resources must not use ../desired.ts (lazy)',
    ],
    [
      'operator/controllers/registry/desired.ts',
      "import { KubeConfig } from '@kubernetes/client-node';",
      'rules of a controller must not use @kubernetes/client-node (value)',
    ],
    [
      'operator/kube/errors.ts',
      "import { toolPath } from '../../../test/helpers/tools.ts';",
      'kube must not use ../../../test/helpers/tools.ts (value)',
    ],
    [
      'registry/storage/drivers/memory.ts',
      "import '@aws-sdk/client-s3'; import '@azure/storage-blob';",
      'storage driver must not use more than one vendor: @aws-sdk, @azure',
    ],
    [
      'registry/distribution/digest.ts',
      "import { memory } from './testing.ts';",
      'distribution must not use ./testing.ts (value)',
    ],
    [
      'elsewhere/new.ts',
      '',
      'elsewhere/new.ts belongs to no layer: give it a place in test/helpers/import-rules.ts',
    ],
  ];

  test.each(planted)('finds what %s must not do: %s', (path, source, complaint) => {
    expect(violations(path, source)).toEqual([complaint]);
  });

  const innocent: [path: string, source: string][] = [
    ['registry/http/range.ts', "import type { RegistryMetrics } from '../metrics.ts';"],
    ['registry/storage/create.ts', "await import('./drivers/memory.ts');"],
    [
      'operator/controllers/registry/resources/service.ts',
      "import type { V1Pod } from '@kubernetes/client-node';",
    ],
    [
      'operator/controllers/registry/resources/service.ts',
      "import type { KubeObject } from '../../../kube/types.ts';",
    ],
  ];

  test.each(innocent)('lets %s do this: %s', (path, source) => {
    expect(violations(path, source)).toEqual([]);
  });

  test('refuses a file that hides what it imports', () => {
    const source = 'const name = "./x.ts"; await import(name);';

    expect(() => violations('api/group.ts', source)).toThrow('import(name) hides what it imports');
  });

  test('has no layer without files', () => {
    const empty = LAYERS.filter((layer) => !FILES.some((path) => layerOf(path) === layer));

    expect(empty.map((layer) => layer.name)).toEqual([]);
  });
});
