import type { StorageDriver } from '../storage/driver.ts';
import { uploadDataKey, uploadsPrefix, uploadStartedKey } from './layout.ts';
import type { RepositoryName } from './names.ts';
import { isUploadId } from './reference.ts';
import { walkRepositories } from './repositories.ts';
import type { ServiceCall } from './service-dependencies.ts';
import type { UploadSite } from './upload-sessions.ts';

/** Longest `startedat` that is read; RFC 3339 with nanoseconds and offset has 35 characters. */
const MAX_STARTED_BYTES = 64;

/**
 * Upload sessions that nothing was done with since a moment: started before it, and not written to since,
 * where the storage can tell. A session without a readable `startedat` (a crash leaves such) goes by its data.
 */
export async function* abandonedUploads(
  storage: StorageDriver,
  olderThan: Date,
  call: ServiceCall,
): AsyncGenerator<UploadSite> {
  const walk = { last: '', pageSize: 1000, having: ['_uploads/'] };
  for await (const repository of walkRepositories(storage, walk, call)) {
    for await (const site of uploadsOf(storage, repository, call)) {
      const lastUse = await lastUseOf(storage, site, call);
      if (lastUse !== undefined && lastUse < olderThan) yield site;
    }
  }
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
      ...call,
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

async function lastUseOf(
  storage: StorageDriver,
  { repository, id }: UploadSite,
  call: ServiceCall,
): Promise<Date | undefined> {
  const [data, text, started] = await Promise.all([
    storage.stat(uploadDataKey(repository, id), call),
    storage.get(uploadStartedKey(repository, id), MAX_STARTED_BYTES, call),
    storage.stat(uploadStartedKey(repository, id), call),
  ]);
  const written = text && new Date(Buffer.from(text).toString('latin1'));
  const startedAt = written && !Number.isNaN(written.getTime()) ? written : started?.modifiedAt;
  const times = [data?.modifiedAt, startedAt].filter((time) => time !== undefined);
  return times.toSorted((left, right) => left.getTime() - right.getTime()).at(-1);
}
