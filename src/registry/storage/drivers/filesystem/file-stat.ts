import type { Stats } from 'node:fs';

import type { ObjectStat } from '../../driver.ts';

/** A file as the port describes it. Renaming and copying set the change time, whatever time a copy keeps. */
export function statOf({ size, mtime, ctime }: Stats): ObjectStat {
  return { size, modifiedAt: mtime, placedAt: ctime };
}
