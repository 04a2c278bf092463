import { type ChildProcess, spawn } from 'node:child_process';
import { copyFile, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { command } from '../../cluster/command.ts';
import { COMPILE_CACHE } from '../../helpers/compile-cache.ts';
import { scratchFolder } from '../../helpers/scratch-folder.ts';
import { toolPath } from '../../helpers/tools.ts';
import { freePort } from '../../servers/process.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const READY = 'Ctrl-C ends.';

/** `operator local` as a user starts it. */
class LocalMode {
  readonly listen: string;
  readonly ops: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  output = '';

  constructor(file: string, state: string, ports: readonly [number, number], more: readonly string[] = []) {
    this.listen = `127.0.0.1:${ports[0]}`;
    this.ops = `127.0.0.1:${ports[1]}`;
    const args = [
      'src/operator/main.ts',
      'local',
      file,
      '--listen',
      this.listen,
      '--ops',
      this.ops,
      '--state',
      state,
      ...more,
    ];
    this.#child = spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...COMPILE_CACHE } });
    this.#child.stdout?.on('data', (text: Buffer) => (this.output += text.toString()));
    this.#child.stderr?.on('data', (text: Buffer) => (this.output += text.toString()));
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', resolve);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits until the output after `from` holds a text. */
  async says(text: string, from = 0): Promise<void> {
    const end = performance.now() + 20_000;
    while (!this.output.slice(from).includes(text)) {
      if (performance.now() > end) throw new Error(`did not say "${text}":\n${this.output}`);
      await sleep(25);
    }
  }

  /** @returns the exit code */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return this.#ended;
  }

  ended(): Promise<number | null> {
    return this.#ended;
  }
}

/** Pids of the children of a process. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

describe('operator local', () => {
  let folder: string;
  let file: string;
  const started: LocalMode[] = [];

  beforeEach(async () => {
    folder = await scratchFolder('local-mode-');
    file = join(folder, 'registry.yaml');
    await copyFile(join(ROOT, 'examples/quickstart.yaml'), file);
  });
  afterEach(async () => {
    await Promise.all(started.splice(0).map((mode) => mode.stop()));
    await rm(folder, { recursive: true, force: true });
  });

  async function start(): Promise<LocalMode> {
    const mode = new LocalMode(file, join(folder, 'state'), [await freePort(), await freePort()]);
    started.push(mode);
    return mode;
  }

  async function edit(change: (text: string) => string): Promise<void> {
    await writeFile(file, change(await readFile(file, 'utf8')));
  }

  it('pushes and pulls by itself, is used by crane over verified TLS, and ends cleanly', async () => {
    const mode = await start();
    await mode.says(READY);
    const [server] = await childrenOf(mode.pid);

    const ca = /CA +(\S+)/.exec(mode.output)?.[1];
    const env = { ...process.env, SSL_CERT_FILE: ca, DOCKER_CONFIG: folder };
    const catalog = await command(toolPath('crane'), ['catalog', mode.listen], { env });

    expect(mode.output).toMatch(
      /Pushed .* over HTTPS, pulled it back and verified its digest: sha256:[0-9a-f]{64}/,
    );
    expect(catalog).toBe('registry-operator/self-check\n');
    expect(await mode.stop()).toBe(0);
    expect(await readdir('/proc')).not.toContain(String(server));
  });

  it('keeps content and CA over a restart', async () => {
    const first = await start();
    await first.says(READY);
    const ca = await readFile(join(folder, 'state/default/registry/ca.crt'), 'utf8');
    await first.stop();

    const second = await start();
    await second.says(READY);

    expect(await readFile(join(folder, 'state/default/registry/ca.crt'), 'utf8')).toBe(ca);
  });

  it('takes edits over without a restart, and refuses bad ones in the words of the API server', async () => {
    const mode = await start();
    await mode.says(READY);
    const before = await childrenOf(mode.pid);

    await edit((text) => text.replace('PullPush', 'Pull'));
    await mode.says('taken over without a restart');
    await edit((text) => text.replace('    anonymous:', '    anonymos:'));
    await mode.says('unknown field "spec.auth.anonymos"');
    await edit((text) => `${text}\n  bad: [`);
    await mode.says('registry.yaml:');

    expect(await childrenOf(mode.pid)).toEqual(before);
    const push = await fetch(`http://${mode.ops}/readyz`);
    expect(push.status).toBe(200);
  });

  it('starts a server again that crashed', async () => {
    const mode = await start();
    await mode.says(READY);
    const [server] = await childrenOf(mode.pid);

    process.kill(server ?? 0, 'SIGKILL');
    await mode.says('signal SIGKILL');
    await expect
      .poll(async () => (await fetch(`http://${mode.ops}/readyz`).catch(() => undefined))?.status, {
        timeout: 15_000,
      })
      .toBe(200);

    expect(await childrenOf(mode.pid)).not.toContain(server);
  });

  it('takes users from a Secret in the same file', async () => {
    const line = await command(toolPath('htpasswd'), ['-niB', 'alice'], { input: 'secret word' });
    await edit((text) =>
      [
        text.replace(/^ {4}anonymous: \w+/m, '    basic: {htpasswdSecretRefs: [{name: users}]}'),
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name: 'users' },
          stringData: { htpasswd: line },
        }),
      ].join('\n---\n'),
    );
    const mode = await start();
    await mode.says(READY);

    const ca = join(folder, 'state/default/registry/ca.crt');
    const ask = (login: string): Promise<string> =>
      command(toolPath('curl'), [
        '-s',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        '--cacert',
        ca,
        '-u',
        login,
        `https://${mode.listen}/v2/`,
      ]);

    expect(mode.output).toContain('asks for a user');
    expect(await ask('alice:secret word')).toBe('200');
    expect(await ask('alice:wrong')).toBe('401');
    expect(mode.output).not.toContain('secret word');
  });

  it.each([
    [
      'a Secret that is missing',
      (text: string) =>
        text.replace(/^ {4}anonymous: \w+/m, '    basic: {htpasswdSecretRefs: [{name: users}]}'),
      /spec\.auth\.basic\.htpasswdSecretRefs\[0\].*"users" not found/,
    ],
    [
      'a field that the API server would refuse',
      (text: string) => text.replace('Filesystem', 'filesystem'),
      /spec\.storage\.type: Unsupported value: "filesystem": supported values: /,
    ],
    [
      'more than one replica',
      (text: string) => text.replace('spec:', 'spec:\n  replicas: 0'),
      /spec\.replicas: Invalid value: 0: must be 1 without a cluster/,
    ],
  ])('refuses to start with %s', async (_what, change, words) => {
    await edit(change);

    const mode = await start();

    expect(await mode.ended()).toBe(1);
    expect(mode.output).toMatch(words);
    expect(mode.output).not.toMatch(/\n {4}at /);
  });

  it('refuses to run one Registry twice, naming the process that runs it', async () => {
    const first = await start();
    await first.says(READY);

    const second = await start();

    expect(await second.ended()).toBe(1);
    expect(second.output).toContain(`process ${first.pid} runs this Registry already`);
    expect(second.output).toContain('--state');
  });

  it('leaves no server behind when it is killed, and starts anew', async () => {
    const first = await start();
    await first.says(READY);
    const [server] = await childrenOf(first.pid);

    process.kill(first.pid, 'SIGKILL');
    await expect.poll(() => readdir('/proc'), { timeout: 10_000 }).not.toContain(String(server));

    const second = await start();
    await second.says(READY);
  });

  it.each([
    ['--listen', ['--listen', '5000'], '--listen: "5000" is not HOST:PORT'],
    ['--state', ['--state', '/dev/null/state'], 'choose another folder with --state DIR'],
  ])('says what is wrong with %s, without a stack', async (_option, args, words) => {
    const mode = new LocalMode(file, join(folder, 'state'), [await freePort(), await freePort()], args);

    expect(await mode.ended()).toBe(1);
    expect(mode.output).toContain(words);
    expect(mode.output).not.toMatch(/\n {4}at /);
  });

  it('names the port that is taken and the option for another', async () => {
    const ports = [await freePort(), await freePort()] as const;
    const other = createServer().listen(ports[0], '127.0.0.1');
    try {
      const mode = new LocalMode(file, join(folder, 'state'), ports);

      expect(await mode.ended()).toBe(1);
      expect(mode.output).toContain(`127.0.0.1:${ports[0]} is taken by process ${process.pid} (`);
      expect(mode.output).toContain('choose another with --listen 127.0.0.1:PORT');
    } finally {
      other.close();
    }
  });
});
