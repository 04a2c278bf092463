import { posix } from 'node:path';

import { parseSync } from 'oxc-parser';

/** How a file uses what it names: by its types only, when it is loaded, or by `import()` when it needs it. */
type ImportKind = 'type' | 'value' | 'lazy';

export interface ImportedModule {
  readonly kind: ImportKind;
  /** As written: `./driver.ts`, `node:fs`, `@aws-sdk/client-s3`. */
  readonly specifier: string;
}

/**
 * Every module that a source file names, in imports, re-exports and `import()`.
 *
 * @throws Error when the file does not parse, or computes the name of a module
 */
export function importedModules(path: string, source: string): ImportedModule[] {
  const { module, errors } = parseSync(path, source);
  if (errors.length > 0) {
    throw new Error(`${path}: ${errors[0]?.message}`);
  }
  const kindAt = (start: number): ImportKind =>
    /^(?:import|export)\s+type\b/.test(source.slice(start)) ? 'type' : 'value';
  const imports = module.staticImports.map(({ start, moduleRequest }) => ({
    kind: kindAt(start),
    specifier: moduleRequest.value,
  }));
  const reExports = module.staticExports.flatMap(({ start, entries }) =>
    entries.flatMap(({ moduleRequest }) =>
      moduleRequest ? [{ kind: kindAt(start), specifier: moduleRequest.value }] : [],
    ),
  );
  const lazy = module.dynamicImports.map(({ moduleRequest }) => ({
    kind: 'lazy' as const,
    specifier: literal(path, source.slice(moduleRequest.start, moduleRequest.end)),
  }));
  return [...imports, ...reExports, ...lazy];
}

/** @returns the path that a relative specifier means, from the same root as `path`; undefined for packages */
export function resolveImport(path: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined;
}

/** @returns `@scope/name` or `name` of a specifier that may go on to a file of the package */
export function packageName(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function literal(path: string, text: string): string {
  const specifier = /^(['"])([^'"]*)\1$/.exec(text)?.[2];
  if (specifier === undefined) {
    throw new Error(`${path}: import(${text}) hides what it imports`);
  }
  return specifier;
}
