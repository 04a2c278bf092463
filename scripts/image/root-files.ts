import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

import { loadedPartOfElf } from './elf.ts';
import { bytesContent, fileContent, type TarEntry } from './layer.ts';

const run = promisify(execFile);

/** User and group that every process in the image runs as. */
export const NONROOT = 65_532;

/** Name lookups that older C libraries load only when they are used, so that the loader does not list them. */
const NAME_SERVICE_LIBRARIES = ['libresolv.so.2', 'libnss_dns.so.2', 'libnss_files.so.2'];

/** Debian packages that the libraries come from; their licences go along where the machine has them. */
const LIBRARY_PACKAGES = ['libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1'];

const TEXT_FILES: Readonly<Record<string, string>> = {
  'etc/passwd':
    'root:x:0:0:root:/root:/sbin/nologin\n' +
    `nonroot:x:${NONROOT}:${NONROOT}:nonroot:/nonexistent:/sbin/nologin\n`,
  'etc/group': `root:x:0:\nnonroot:x:${NONROOT}:\n`,
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** Folders that processes write to; in a Pod they are volumes. */
const WRITABLE_FOLDERS: readonly TarEntry[] = [
  { path: 'tmp', type: 'directory', mode: 0o1777 },
  { path: 'var/lib/registry', type: 'directory', mode: 0o750, owner: NONROOT },
  { path: 'var/lib/registry-state', type: 'directory', mode: 0o750, owner: NONROOT },
];

/**
 * Everything below the application: Node, the shared libraries that it loads (copies of this machine's), CA
 * certificates (those that Node brings), users and empty folders. No shell and no package manager.
 *
 * @param node folder of the npm package with Node's Linux binary
 */
export async function runtimeFiles(node: string): Promise<TarEntry[]> {
  const binary = join(node, 'bin', 'node');
  const libraries = await sharedLibraries(binary);
  const roots = await run(binary, ['-p', 'require("node:tls").rootCertificates.join("\\n")']);
  const texts = { ...TEXT_FILES, 'etc/ssl/certs/ca-certificates.crt': roots.stdout };
  return withFolders([
    { path: 'usr/bin/node', type: 'file', mode: 0o755, content: await loadedPartOfElf(binary) },
    ...(await Promise.all(libraries.map((path) => copied(path, path.slice(1), 0o755)))),
    ...(await licenses(node)),
    ...Object.entries(texts).map(([path, text]): TarEntry => ({
      path,
      type: 'file',
      mode: 0o644,
      content: bytesContent(text),
    })),
    ...WRITABLE_FOLDERS,
  ]);
}

/** The bundles, readable by everybody. */
export async function applicationFiles(dist: string, names: readonly string[]): Promise<TarEntry[]> {
  return withFolders(await Promise.all(names.map((name) => copied(join(dist, name), `app/${name}`, 0o644))));
}

async function copied(from: string, path: string, mode: number): Promise<TarEntry> {
  return { path, type: 'file', mode, content: await fileContent(from) };
}

/**
 * Absolute paths of the libraries that the dynamic loader would map for a program, the loader itself
 * included. They keep their paths in the image, because the loader searches those folders by default.
 */
async function sharedLibraries(binary: string): Promise<string[]> {
  // What ldd does, without needing ldd.
  const { stdout } = await run(binary, [], { env: { LD_TRACE_LOADED_OBJECTS: '1' } });
  if (stdout.includes('not found')) throw new Error(`this system lacks libraries of Node:\n${stdout}`);
  const loaded = [...stdout.matchAll(/(\/\S+) \(0x/g)].flatMap((match) => match[1] ?? []);
  const libc = loaded.find((path) => path.endsWith('/libc.so.6'));
  if (libc === undefined) throw new Error('the image needs a system with the GNU C library');
  const lookups = NAME_SERVICE_LIBRARIES.map((name) => join(dirname(libc), name));
  const present = await Promise.all(lookups.map((path) => exists(path)));
  return [...loaded, ...lookups.filter((_, index) => present[index])];
}

async function licenses(node: string): Promise<TarEntry[]> {
  const sources = [
    { name: 'node', from: join(node, 'LICENSE') },
    ...LIBRARY_PACKAGES.map((name) => ({ name, from: `/usr/share/doc/${name}/copyright` })),
  ];
  const present = await Promise.all(sources.map(({ from }) => exists(from)));
  const found = sources.filter((_, index) => present[index]);
  return Promise.all(found.map(({ name, from }) => copied(from, `usr/share/licenses/${name}`, 0o644)));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Adds the folders that lead to each entry and sorts, so that folders come first and the order is fixed. */
function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map<string, TarEntry>();
  for (const { path } of entries) {
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
      all.set(folder, { path: folder, type: 'directory', mode: 0o755 });
    }
  }
  for (const entry of entries) all.set(entry.path, entry);
  return [...all.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
