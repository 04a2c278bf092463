import { withRestartSettingsOf } from '../../api/registry-config.ts';
import { parseConfig } from '../config/load.ts';
import { snapshotOf, type ConfigSource, type Snapshot } from '../config/snapshot.ts';

/**
 * What a process starts with that joins a running server: the configuration as it is now, but for settings that need a
 * restart, which are those of the server's start. While the file cannot be used it is what the server has started with.
 *
 * @param startText the configuration at the start of the server
 * @throws ConfigInvalid; the error of Node when a file cannot be read for another reason than its absence
 */
export async function joiningSnapshot(source: ConfigSource, startText: string): Promise<Snapshot> {
  const startBytes = new TextEncoder().encode(startText);
  const start = parseConfig(startBytes, source.name);
  try {
    const bytes = await source.read();
    const config = withRestartSettingsOf(start, parseConfig(bytes, source.name));
    return await snapshotOf(bytes, config);
  } catch {
    return snapshotOf(startBytes, start);
  }
}
