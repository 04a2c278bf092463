import type { StorageDriver } from '../storage/driver.ts';
import {
  listedKey,
  uploadDataKey,
  uploadPrefix,
  uploadsPrefix,
  uploadStartedKey,
  uploadWholeKey,
} from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isUploadId } from './reference.ts';
import { walkRepositories } from './repositories.ts';
import type { ServiceCall } from './service-dependencies.ts';
import type { UploadSite } from './upload-sessions.ts';

/** Longest `startedat` that is read; RFC 3339 with nanoseconds and offset has 35 characters. */
const MAX_STARTED_BYTES = 64;

/** Upload sessions that {@link isAbandoned}. */
export async function* abandonedUploads(
  storage: StorageDriver,
  olderThan: Date,
  call: ServiceCall,
): AsyncGenerator<UploadSite> {
  const walk = { last: '', pageSize: 1000, having: ['_uploads/'] };
  for await (const repository of walkRepositories(storage, walk, call)) {
    for await (const site of uploadsOf(storage, repository, call)) {
      if (await isAbandoned(storage, site, olderThan, call)) yield site;
    }
  }
}

/**
 * Whether nothing was done with a session since a moment: started before it, and no byte was stored since, by
 * whatever replica. A session without a readable `startedat` (a crash leaves such) goes by what it has.
 */
export async function isAbandoned(
  storage: StorageDriver,
  site: UploadSite,
  olderThan: Date,
  call: ServiceCall,
): Promise<boolean> {
  const started = await startOf(storage, site, call);
  if (started !== undefined && started >= olderThan) return false;
  const times = [started, ...(await timesOf(storage, site, call))].filter((time) => time !== undefined);
  return times.length > 0 && times.every((time) => time < olderThan);
}

async function* uploadsOf(
  storage: StorageDriver,
  repository: RepositoryName,
  call: ServiceCall,
): AsyncGenerator<UploadSite> {
  const prefix = uploadsPrefix(repository);
  let after: string | undefined;
  do {
    const page = await storage.list(prefix, {
      signal: call.signal,
      ...(after === undefined ? {} : { after }),
      delimiter: '/',
    });
    for (const { name } of page.entries) {
      const id = name.slice(0, -1);
      if (name.endsWith('/') && isUploadId(id)) yield { repository, id };
    }
    after = page.more ? page.entries.at(-1)?.name : undefined;
  } while (after !== undefined);
}

async function startOf(
  storage: StorageDriver,
  { repository, id }: UploadSite,
  call: ServiceCall,
): Promise<Date | undefined> {
  const text = await storage.get(uploadStartedKey(repository, id), MAX_STARTED_BYTES, call);
  const started = text && new Date(Buffer.from(text).toString('latin1'));
  return started && !Number.isNaN(started.getTime()) ? started : undefined;
}

/** When what the session has was written, finished or not. */
async function timesOf(
  storage: StorageDriver,
  { repository, id }: UploadSite,
  call: ServiceCall,
): Promise<(Date | undefined)[]> {
  const prefix = uploadPrefix(repository, id);
  const { entries } = await storage.list(prefix, call);
  const stats = await Promise.all(entries.map(({ name }) => storage.stat(listedKey(prefix, name), call)));
  const unfinished = [uploadDataKey, uploadWholeKey].map((keyOf) => keyOf(repository, id));
  return [
    ...stats.map((stat) => stat?.modifiedAt),
    ...(await Promise.all(unfinished.map((key) => storage.lastWrite(key, call)))),
  ];
}
