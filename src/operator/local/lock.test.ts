import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { lockFolder } from './lock.ts';

describe('lockFolder', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lock-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('lets one in at a time, and the next one after that', async () => {
    const unlock = await lockFolder(folder);

    await expect(lockFolder(folder)).rejects.toThrow(`process ${process.pid} runs this Registry already`);
    await unlock();

    await (
      await lockFolder(folder)
    )();
  });

  it('takes over from a process that is gone', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await new Promise((resolve) => {
      child.once('close', resolve);
    });
    await writeFile(join(folder, 'pid'), `${child.pid ?? 0} 1`);

    await expect(lockFolder(folder)).resolves.toBeTypeOf('function');
  });

  it.runIf(process.platform === 'linux')('sees that a pid is used again by another process', async () => {
    await writeFile(join(folder, 'pid'), `${process.pid} 1`);

    await expect(lockFolder(folder)).resolves.toBeTypeOf('function');
  });

  it.runIf(process.platform === 'linux')('takes over from a process that nobody has asked for', async () => {
    // The shell becomes a program that does not wait for its child, before the child ends.
    const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60']);
    try {
      const pid = await new Promise<string>((resolve) => {
        parent.stdout.once('data', (text: Buffer) => resolve(text.toString().trim()));
      });
      await expect.poll(() => readFile(`/proc/${pid}/stat`, 'utf8'), { timeout: 8000 }).toContain(') Z ');
      const start = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[21] ?? '';
      await writeFile(join(folder, 'pid'), `${pid} ${start}`);

      await expect(lockFolder(folder)).resolves.toBeTypeOf('function');
    } finally {
      parent.kill();
    }
  });

  it.each(['', 'x', '-1', '0 0'])('ignores a lock file with "%s"', async (content) => {
    await writeFile(join(folder, 'pid'), content);

    await expect(lockFolder(folder)).resolves.toBeTypeOf('function');
  });
});
