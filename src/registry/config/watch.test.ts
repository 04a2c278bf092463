import { mkdtemp, rename, rm, symlink, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { createLogger } from '../../shared/logger.ts';
import { fileSource, readSnapshot } from './snapshot.ts';
import { ConfigWatcher, type ReloadTargets } from './watch.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function setUp() {
  const folder = await mkdtemp(join(tmpdir(), 'watch-'));
  cleanups.push(() => rm(folder, { recursive: true }));
  const file = join(folder, 'config.json');
  const users = join(folder, 'auth', 'htpasswd');
  await mkdir(join(folder, 'v1'));
  await writeFile(join(folder, 'v1', 'htpasswd'), 'one');
  await symlink('v1', join(folder, 'auth'));
  const config = {
    storage: { driver: 'memory' },
    auth: { basic: { htpasswdFiles: [users] } },
    http: {},
    logging: {},
  };
  const write = (changes: object) => writeFile(file, JSON.stringify({ ...config, ...changes }));
  await write({});

  const lines: string[] = [];
  const seen: string[] = [];
  const failures: string[] = [];
  const targets: ReloadTargets = {
    certificate: () => undefined,
    htpasswd: ([entry]) => {
      if (entry?.text === 'bad') throw new Error('bad users');
      seen.push(`users ${entry?.text}`);
    },
    auth: ({ anonymous }) => seen.push(`anonymous ${anonymous}`),
    logging: ({ level }) => seen.push(`level ${level}`),
    settings: ({ http }) => seen.push(`hosts ${http.hosts.join()}`),
    failed: (field) => failures.push(field),
  };
  const source = fileSource(file);
  const watcher = new ConfigWatcher({
    source,
    initial: await readSnapshot(source),
    targets,
    logger: createLogger({ level: 'debug', destination: { write: (line) => void lines.push(line) } }),
    pollMs: 60_000,
    debounceMs: 10,
  });
  cleanups.push(() => watcher.close());
  return { folder, file, users, write, lines, seen, failures, watcher };
}

describe('ConfigWatcher', () => {
  it('does nothing while nothing changes', async () => {
    const { watcher, seen } = await setUp();

    await watcher.check();

    expect(seen).toEqual([]);
  });

  it('takes over rules, users, level and hosts, and names what it has loaded', async () => {
    const { watcher, write, users, seen } = await setUp();
    const before = watcher.loadedHash;

    await write({ logging: { level: 'Debug' }, http: { hosts: ['a', 'b'] } });
    await writeFile(users, 'two');
    await watcher.check();

    expect(seen).toEqual(['users two', 'anonymous None', 'level Debug', 'hosts a,b']);
    expect(watcher.loadedHash).toMatch(/^[0-9a-f]{64}$/);
    expect(watcher.loadedHash).not.toBe(before);
  });

  it('sees a swap of the folder behind a symbolic link without being asked', async () => {
    const { watcher, folder, seen } = await setUp();
    watcher.start();

    await mkdir(join(folder, 'v2'));
    await writeFile(join(folder, 'v2', 'htpasswd'), 'two');
    await symlink('v2', join(folder, 'next'));
    await rename(join(folder, 'next'), join(folder, 'auth'));

    await vi.waitFor(() => expect(seen).toContain('users two'), 5000);
  });

  it('sees a change in a folder where something else is written all the time', async () => {
    const { watcher, folder, write, seen } = await setUp();
    watcher.start();
    const noise = setInterval(() => void writeFile(join(folder, 'noise'), 'x'), 2);

    await write({ logging: { level: 'Warn' } });

    await vi.waitFor(() => expect(seen).toContain('level Warn'), 5000);
    clearInterval(noise);
  });

  it('keeps the old users and rules when the new users are bad, and says so once', async () => {
    const { watcher, write, users, seen, failures, lines } = await setUp();
    const before = watcher.loadedHash;

    await writeFile(users, 'bad');
    await write({
      logging: { level: 'Debug' },
      auth: { anonymous: 'Pull', basic: { htpasswdFiles: [users] } },
    });
    await watcher.check();
    await watcher.check();

    expect(seen).toEqual(['level Debug', 'hosts ']);
    expect(failures).toEqual(['auth.basic.htpasswdFiles']);
    expect(lines.join('')).toContain('"field":"auth.basic.htpasswdFiles"');
    expect(watcher.loadedHash).toBe(before);
  });

  it('goes on with the old configuration and the new users when the file cannot be used', async () => {
    const { watcher, file, users, seen, failures } = await setUp();
    const before = watcher.loadedHash;

    await writeFile(file, '{"storage": {}}');
    await writeFile(users, 'two');
    await watcher.check();

    expect(seen).toContain('users two');
    expect(failures).toEqual(['config']);
    expect(watcher.loadedHash).toBe(before);
  });

  it('recovers when the file is usable again', async () => {
    const { watcher, file, write } = await setUp();
    const before = watcher.loadedHash;
    await writeFile(file, 'nonsense: [');
    await watcher.check();

    await write({});
    await watcher.check();

    expect(watcher.loadedHash).toBe(before);
  });

  it('says when a setting needs a restart', async () => {
    const { watcher, write, lines } = await setUp();

    await write({ http: { drainSeconds: 1 } });
    await watcher.check();

    const warning = lines.find((line) => line.includes('a changed setting needs a restart')) ?? '{}';
    expect(JSON.parse(warning)).toMatchObject({ level: 'warn', fields: ['http.drainSeconds'] });
  });

  it('tells once that the file is gone', async () => {
    const { watcher, file, failures } = await setUp();

    await rm(file);
    await watcher.check();
    await watcher.check();

    expect(failures).toEqual(['config']);
  });
});
