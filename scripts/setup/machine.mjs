import { accessSync, constants, existsSync, mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { capture } from './process.mjs';
import { SetupError } from './report.mjs';

const PLATFORMS = ['linux x64', 'linux arm64', 'darwin arm64'];
const OLDEST_GO = [1, 26];

/** @throws SetupError on a machine for which there is no Node 26 among the packages */
export function checkPlatform() {
  const platform = `${process.platform} ${process.arch}`;
  if (!PLATFORMS.includes(platform)) {
    throw new SetupError(`this machine is ${platform}; the project runs on ${PLATFORMS.join(', ')}`);
  }
}

/** @throws SetupError when less than `gibibytes` are free where `folder` is or will be */
export function requireDisk(folder, gibibytes, purpose) {
  mkdirSync(folder, { recursive: true });
  const { bavail, bsize } = statfsSync(folder);
  const free = (bavail * bsize) / 2 ** 30;
  if (free < gibibytes) {
    throw new SetupError(`${purpose} needs ${gibibytes} GiB in ${folder}; ${free.toFixed(1)} GiB are free`);
  }
}

/** @throws SetupError when this user cannot make files in `folder`, which exists */
export function requireWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
  } catch {
    throw new SetupError(`this user cannot write to ${folder}; use a checkout of your own`);
  }
}

/** @throws SetupError when not root */
export function requireRoot(purpose) {
  if (process.getuid?.() !== 0) {
    throw new SetupError(
      `${purpose} needs root; run it as root or in a container or machine where you are root`,
    );
  }
}

/** @throws SetupError on anything but Debian, whose packages the test servers come from */
export function requireDebian() {
  const file = '/etc/os-release';
  const release = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (!/^ID=debian$/m.test(release)) {
    const name = /^PRETTY_NAME="?([^"\n]*)/m.exec(release)?.[1] ?? process.platform;
    throw new SetupError(
      `this machine is ${name}; the servers that the tests talk to are Debian 12 packages. ` +
        'Here you can run: npm test -- check:static unit',
    );
  }
}

/**
 * @returns {Promise<{path: string, version: string}>} the Go command, and its version such as "go1.26.8"
 * @throws SetupError when there is none, or too old a one
 */
export async function findGo() {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/go/bin', '/usr/lib/go/bin'];
  const path = folders.map((folder) => join(folder, 'go')).find((file) => existsSync(file));
  const wanted = `Go ${OLDEST_GO.join('.')} or newer`;
  if (!path) {
    throw new SetupError(
      `${wanted} is needed to build test tools, and no go command is in PATH or /usr/local/go/bin`,
    );
  }
  const { stdout, stderr } = await capture(path, ['env', 'GOVERSION']);
  const version = stdout.trim();
  const [major, minor] = (/^go(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
  if (!(major > OLDEST_GO[0] || (major === OLDEST_GO[0] && minor >= OLDEST_GO[1]))) {
    throw new SetupError(`${wanted} is needed to build test tools; ${path} is ${version || stderr.trim()}`);
  }
  return { path, version };
}
