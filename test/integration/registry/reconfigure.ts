import { readFile, rename, writeFile } from 'node:fs/promises';

import { expect, vi } from 'vitest';

import type { RegistryConfigInput } from '../../../src/api/registry-config.ts';
import type { TestRegistry } from '../../servers/registry.ts';

const RELOAD = { timeout: 15_000, interval: 20 };

/** Replaces the configuration of a running server as a whole, and waits until the server has taken it over. */
export async function reconfigure(
  registry: TestRegistry,
  change: (config: RegistryConfigInput) => RegistryConfigInput,
): Promise<void> {
  const reloads = (): number => registry.process.log().split('configuration reloaded').length;
  const before = reloads();
  const config = JSON.parse(await readFile(registry.configFile, 'utf8')) as RegistryConfigInput;
  await writeFile(`${registry.configFile}.new`, JSON.stringify(change(config)));
  await rename(`${registry.configFile}.new`, registry.configFile);
  await vi.waitFor(() => expect(reloads()).toBe(before + 1), RELOAD);
}
