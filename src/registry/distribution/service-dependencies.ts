import type { StorageDriver } from '../storage/driver.ts';
import type { Digesters } from './digester.ts';

/** What the services log. A pino logger is one. */
export interface ServiceLogger {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Makes the ids of upload sessions. */
export interface Ids {
  /** A random UUID in lower case. */
  uuid(): string;
}

/** What every service of this folder is given. */
export interface ServiceDependencies {
  readonly storage: StorageDriver;
  readonly digests: Digesters;
  readonly clock: { now(): Date };
  readonly ids: Ids;
  readonly logger?: ServiceLogger;
}

/** Every call may be cancelled; a cancelled call throws the reason of the signal. */
export interface ServiceCall {
  readonly signal: AbortSignal;
}
