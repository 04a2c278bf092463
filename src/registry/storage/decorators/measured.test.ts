import { describe, expect, test } from 'vitest';

import type { StorageKey } from '../driver.ts';
import { createMemoryDriver } from '../drivers/memory.ts';
import { measured } from './measured.ts';

const KEY = 'a/link' as StorageKey;

function recorder() {
  const lines: string[] = [];
  let time = 0;
  const metrics = {
    observe: (driver: string, action: string, seconds: number) =>
      lines.push(`${driver} ${action} ${seconds}`),
    error: (driver: string, action: string, code: string) => lines.push(`${driver} ${action} ${code}`),
  };
  // Every look at the clock is half a second later.
  return { lines, driver: measured(createMemoryDriver(), metrics, () => (time += 500)) };
}

describe('measured', () => {
  test('names calls as distribution does', async () => {
    const { lines, driver } = recorder();

    await driver.put(KEY, Buffer.from('x'));
    await driver.get(KEY, 1);
    await driver.stat(KEY);
    await driver.list('');
    await (await driver.open(KEY))?.read();
    const session = await driver.startWrite('u/data' as StorageKey);
    await session.append(Buffer.from('x'));
    await session.commit('b/link' as StorageKey);
    await driver.move(KEY, 'c/link' as StorageKey);
    await driver.redirectUrl(KEY);
    await driver.delete([KEY]);

    const actions = 'PutContent GetContent Stat List Reader Writer Writer Move RedirectURL Delete'.split(' ');
    expect(lines).toEqual(actions.map((action) => `memory ${action} 0.5`));
  });

  test('counts failures by their code, also in streams', async () => {
    const { lines, driver } = recorder();
    const controller = new AbortController();
    await driver.put(KEY, Buffer.from('x'));
    const reader = await driver.open(KEY, undefined, { signal: controller.signal });
    lines.length = 0;

    await expect(driver.get(KEY, 0)).rejects.toThrow('1 bytes');
    controller.abort();
    await expect(reader?.read()).rejects.toThrow('aborted');

    expect(lines).toEqual(['memory GetContent TOO_LARGE', 'memory GetContent 0.5', 'memory Reader ABORTED']);
  });
});
