import type { Job, Row } from './job.ts';
import { FOOTPRINT_JOBS } from './jobs/footprint.ts';
import { METADATA_JOBS } from './jobs/metadata.ts';
import { PROCESSES_JOB } from './jobs/processes.ts';
import { PULL_JOBS } from './jobs/pull.ts';
import { PUSH_JOBS } from './jobs/push.ts';
import { REQUEST_JOBS } from './jobs/requests.ts';

/** Every job, in the order of the table. */
export const JOBS: readonly Job[] = [
  ...PULL_JOBS,
  ...PUSH_JOBS,
  ...REQUEST_JOBS,
  ...METADATA_JOBS,
  ...FOOTPRINT_JOBS,
  PROCESSES_JOB,
];

/**
 * Whether a row was asked for: by its name, that of its job, or a word that one of them begins with and that ends in
 * a hyphen.
 *
 * @param only what was asked for; nothing asks for everything
 */
export function isWanted(job: Job, row: Row, only: readonly string[]): boolean {
  if (only.length === 0) return true;
  return only.some(
    (word) => word === job.id || word === row.id || (word.endsWith('-') && row.id.startsWith(word)),
  );
}
