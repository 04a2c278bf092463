import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { rolldown, type OutputBundle, type Plugin } from 'rolldown';

import packageJson from '../package.json' with { type: 'json' };

/** Root of the checkout. */
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Where `npm run build` writes. */
export const DIST = join(ROOT, 'dist');

/**
 * Name of the bundle → its source. Workers and the processes of a server are entries of their own because they are
 * started by file name.
 */
const ENTRIES = {
  registry: 'src/registry/main.ts',
  operator: 'src/operator/main.ts',
  'serving-process': 'src/registry/processes/serving-main.ts',
  'hash-worker': 'src/registry/hash-worker.ts',
  'password-worker': 'src/registry/auth/password-worker.ts',
} as const;

/** File with the licence texts of everything that was bundled. */
const LICENSES_FILE = 'licenses.txt';

/**
 * Bundles the programs into one flat folder that runs by itself: the entries, the chunks that they share, a
 * package.json that says the files are ES modules, and the licences of the bundled packages.
 *
 * Names of functions and classes survive, because libraries and stack traces use them.
 *
 * @returns the names of the files, sorted
 */
export async function build(folder: string = DIST): Promise<string[]> {
  await removeOldOutput(folder);
  const bundle = await rolldown({
    cwd: ROOT,
    input: ENTRIES,
    platform: 'node',
    plugins: [withoutLazyParts('node:http', 'node:util'), collectLicenses()],
    onLog(level, log, defaultHandler) {
      if (level === 'warn') throw new Error(`${log.code ?? 'warning'}: ${log.message}`);
      defaultHandler(level, log);
    },
  });
  const { output } = await bundle.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    minify: true,
    keepNames: true,
  });
  await bundle.close();
  await writeFile(join(folder, 'package.json'), packageDescription());
  return [...output.map((file) => file.fileName), 'package.json'].toSorted();
}

/**
 * Takes modules of Node without the parts that Node loads when they are asked for. An `import` asks for all of them:
 * that of `node:http` loads the client of fetch, HTTP/2 and more, which is a third of the time until the server
 * listens, and ten megabytes of its memory.
 */
function withoutLazyParts(...modules: readonly string[]): Plugin {
  const prefix = '\0without-lazy-parts:';
  return {
    name: 'without-lazy-parts',
    resolveId(id, _importer, { kind }) {
      return modules.includes(id) && kind === 'import-statement' ? prefix + id : undefined;
    },
    load(id) {
      if (!id.startsWith(prefix)) return undefined;
      const name = id.slice(prefix.length);
      const properties = Object.getOwnPropertyDescriptors(process.getBuiltinModule(name));
      const eager = Object.entries(properties).flatMap(([key, { value }]) =>
        value === undefined ? [] : [key],
      );
      const code = [
        `const module = process.getBuiltinModule(${JSON.stringify(name)});`,
        'export default module;',
        ...eager.map((key) => `export const ${key} = module.${key};`),
      ].join('\n');
      return { code, moduleSideEffects: false };
    },
  };
}

/** Only what an earlier build wrote: the folder may hold other output, such as image.tar. */
async function removeOldOutput(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const old = names.filter(
    (name) => name.endsWith('.js') || name === LICENSES_FILE || name === 'package.json',
  );
  await Promise.all(old.map((name) => rm(join(folder, name))));
}

/** Without it Node parses every file twice to find out that it is an ES module. */
function packageDescription(): string {
  const { name, version, license } = packageJson;
  return `${JSON.stringify({ name, version, license, type: 'module', private: true }, undefined, 2)}\n`;
}

function collectLicenses(): Plugin {
  return {
    name: 'collect-licenses',
    async generateBundle(_options, output) {
      const folders = bundledPackages(output);
      const texts = await Promise.all(folders.map((folder) => licenseText(folder)));
      this.emitFile({ type: 'asset', fileName: LICENSES_FILE, source: texts.join('\n') });
    },
  };
}

/** Folders of the npm packages that have at least one module in the output, sorted. */
function bundledPackages(output: OutputBundle): string[] {
  const modules = Object.values(output).flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  const folders = modules.flatMap(
    (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id.replace(/^\0/, '')) ?? [],
  );
  return [...new Set(folders)].toSorted();
}

/** Name, version, declared licence and the text of the licence file, where the package has one. */
async function licenseText(folder: string): Promise<string> {
  const description: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  const { name, version, license } = Object(description);
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? '' : await readFile(join(folder, file), 'utf8');
  return `${name} ${version} (${license})\n${'-'.repeat(72)}\n${text.trim()}\n`;
}

if (import.meta.main) {
  const files = await build();
  console.log(`dist/: ${files.join(' ')}`);
}
