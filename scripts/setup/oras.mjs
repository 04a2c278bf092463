import { mkdirSync, readdirSync, readFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { requireDisk } from './machine.mjs';
import { CACHE } from './paths.mjs';
import { capture, runLogged } from './process.mjs';
import { SetupError } from './report.mjs';
import { provide } from './tool-store.mjs';

const SUITE = 'trixie';
const VERSION = '1.2.0';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Unpacks `oras` from the Debian suite that has it. The machine's own package lists are not touched: apt runs with
 * its configuration, lists and downloads in the cache, against the mirror that the machine uses.
 *
 * @returns {Promise<boolean>} whether it had to be unpacked
 */
export function installOras({ nice }) {
  const tool = {
    key: `oras-${VERSION}-${SUITE}`,
    programs: { oras: 'usr/bin/oras' },
    title: `unpacking oras ${VERSION} from Debian ${SUITE} into the cache`,
  };
  return provide(tool, async (folder) => {
    requireDisk(CACHE, 1, 'unpacking oras');
    const apt = join(CACHE, 'apt');
    try {
      await download(apt, nice);
      const file = readdirSync(apt).find((name) => name.endsWith('.deb'));
      await runLogged('dpkg', ['-x', join(apt, file), folder], { log: log('oras-unpack') });
    } finally {
      rmSync(apt, { recursive: true, force: true });
    }
    await check(join(folder, 'usr/bin/oras'));
  });
}

async function download(apt, nice) {
  for (const folder of ['lists/partial', 'archives/partial', 'etc']) {
    mkdirSync(join(apt, folder), { recursive: true });
  }
  writeFileSync(join(apt, 'sources.list'), `deb [signed-by=${KEYRING}] ${debianMirror()} ${SUITE} main\n`);
  writeFileSync(join(apt, 'status'), '');
  writeFileSync(
    join(apt, 'apt.conf'),
    [
      `Dir::State "${apt}";`,
      `Dir::State::lists "${apt}/lists";`,
      `Dir::State::status "${apt}/status";`,
      `Dir::Cache "${apt}";`,
      `Dir::Etc::sourcelist "${apt}/sources.list";`,
      'Dir::Etc::sourceparts "/dev/null";',
      'Dir::Etc::preferences "/dev/null";',
      'Dir::Etc::preferencesparts "/dev/null";',
      'Acquire::Languages "none";',
      'APT::Sandbox::User "root";',
      '',
    ].join('\n'),
  );
  const env = { ...process.env, APT_CONFIG: join(apt, 'apt.conf'), LC_ALL: 'C' };
  await runLogged('apt-get', ['-q', 'update'], { log: log('oras-update'), env, nice });
  await runLogged('apt-get', ['-q', 'download', 'oras'], { log: log('oras-download'), env, nice, cwd: apt });
}

/** The mirror of the machine's own Debian source. */
function debianMirror() {
  const parts = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []),
  ];
  const text = files
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8').replace(/^\s*#.*$/gm, ''))
    .join('\n');
  const mirror = /^(?:URIs:|deb)\s.*?((?:https?|file):\S+\/debian)\/?(?=\s|$)/m.exec(text);
  return mirror?.[1] ?? 'http://deb.debian.org/debian';
}

async function check(file) {
  const { status, stdout, stderr } = await capture(file, ['version']);
  if (status !== 0 || !stdout.includes(VERSION)) {
    throw new SetupError(`oras ${VERSION} does not run here: ${stderr || stdout}`);
  }
}

function log(name) {
  return join(CACHE, 'logs', `${name}.log`);
}
