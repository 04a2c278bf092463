import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { errorCode } from '../../../../shared/errors.ts';
import { StorageError } from '../../errors.ts';

/** How long files are believed before they are read again, in milliseconds. */
const FRESH_MS = 5000;

export interface FileCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration: Date;
}

/**
 * Credentials from a mounted Secret: the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally
 * AWS_SESSION_TOKEN. New contents count within five seconds, without a restart.
 *
 * The SDK asks a provider again only when what it got expires within five minutes; so it always does.
 *
 * @param now milliseconds since the epoch
 */
export function credentialsFromFiles(directory: string, now: () => number): () => Promise<FileCredentials> {
  let last: { readonly at: number; readonly credentials: Promise<FileCredentials> } | undefined;
  return async () => {
    if (last === undefined || now() - last.at >= FRESH_MS) {
      last = { at: now(), credentials: readCredentials(directory, new Date(now() + FRESH_MS)) };
    }
    try {
      return await last.credentials;
    } catch (error) {
      last = undefined;
      throw error;
    }
  };
}

async function readCredentials(directory: string, expiration: Date): Promise<FileCredentials> {
  const accessKeyId = await readRequired(directory, 'AWS_ACCESS_KEY_ID');
  const secretAccessKey = await readRequired(directory, 'AWS_SECRET_ACCESS_KEY');
  const sessionToken = await readValue(directory, 'AWS_SESSION_TOKEN');
  return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }), expiration };
}

async function readRequired(directory: string, name: string): Promise<string> {
  const value = await readValue(directory, name);
  if (value === '') throw denied(`the credentials file ${join(directory, name)} is missing or empty`);
  return value;
}

/** Secrets made with `echo` end in a newline, with which every signature would be wrong. */
async function readValue(directory: string, name: string): Promise<string> {
  try {
    return (await readFile(join(directory, name), 'utf8')).trim();
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return '';
    throw denied(`the credentials file ${join(directory, name)} cannot be read (${errorCode(error)})`);
  }
}

function denied(message: string): StorageError {
  return new StorageError('ACCESS_DENIED', { driver: 's3', operation: 'credentials', message });
}
