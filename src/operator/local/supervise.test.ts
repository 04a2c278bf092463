import { setTimeout as sleep } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import { type Command, Supervisor } from './supervise.ts';

function node(script: string): Command {
  return { command: process.execPath, args: ['-e', script] };
}

function recording(graceMs = 5000): { supervisor: Supervisor; lines: string[]; crashes: string[] } {
  const lines: string[] = [];
  const crashes: string[] = [];
  const events = {
    line: (text: string) => lines.push(text),
    crashed: (reason: string) => crashes.push(reason),
  };
  return { supervisor: new Supervisor(events, { graceMs }), lines, crashes };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(10);
}

describe('Supervisor', () => {
  it('hands on whole lines of both streams', async () => {
    const { supervisor, lines } = recording();

    await supervisor.run(
      node('process.stdout.write("a\\nb"); console.error("c"); setInterval(() => {}, 1e6)'),
      '1',
    );
    await until(() => lines.length >= 2);
    await supervisor.stop();

    expect(lines.toSorted()).toEqual(['a', 'b', 'c']);
  });

  it('starts a program again that ended', async () => {
    const { supervisor, lines, crashes } = recording();

    await supervisor.run(node('console.log(process.pid); process.exit(3)'), '1');
    await until(() => lines.length >= 2);
    await supervisor.stop();

    expect(crashes[0]).toBe('exit code 3');
    expect(new Set(lines).size).toBe(lines.length);
  });

  it('says when the program cannot be started at all', async () => {
    const { supervisor, crashes } = recording();

    await supervisor.run({ command: '/no/such/program', args: [] }, '1');
    await until(() => crashes.length >= 1);
    await supervisor.stop();

    expect(crashes[0]).toContain('ENOENT');
  });

  it('leaves the program alone when nothing changed, and replaces it for another revision', async () => {
    const { supervisor } = recording();
    const command = node('setInterval(() => {}, 1e6)');

    await supervisor.run(command, '1');
    const first = supervisor.pid;
    await supervisor.run(command, '1');
    const second = supervisor.pid;
    await supervisor.run(command, '2');
    const third = supervisor.pid;
    await supervisor.stop();

    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(supervisor.pid).toBeUndefined();
  });

  it('kills a program that does not end by itself', async () => {
    const { supervisor, lines } = recording(100);

    await supervisor.run(
      node('process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1e6)'),
      '1',
    );
    await until(() => lines.length > 0);
    await supervisor.stop();

    expect(supervisor.pid).toBeUndefined();
  });
});
