import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A server that speaks S3, for one test file. */
export interface S3Server {
  /** URL. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Ends its processes and removes its data. */
  stop(): Promise<void>;
}

/**
 * Writes the keys as the files of a mounted Secret are, see `storage.credentialsDirectory`.
 *
 * @param folder is made unless it is there
 */
export async function writeCredentials(
  { accessKeyId, secretAccessKey }: S3Server,
  folder: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'AWS_ACCESS_KEY_ID'), accessKeyId);
  await writeFile(join(folder, 'AWS_SECRET_ACCESS_KEY'), secretAccessKey);
}
