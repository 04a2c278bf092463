import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Makes the image as `npm run image -- --output FILE` does.
 *
 * @param folder where the file goes
 * @returns the path of the archive
 */
export async function buildImageArchive(folder: string, name = 'image.tar'): Promise<string> {
  const file = join(folder, name);
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/image.ts'), '--output', file]);
  return file;
}
