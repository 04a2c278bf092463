/** Errors of the storage port. Imports nothing, so that every layer may name them; callers test `code`. */

export type StorageErrorCode =
  | 'NOT_FOUND'
  | 'TOO_LARGE'
  | 'INVALID_KEY'
  | 'INVALID_RANGE'
  | 'SESSION_BUSY'
  | 'READ_FAILED'
  | 'NO_SPACE'
  | 'ACCESS_DENIED'
  | 'UNAVAILABLE';

/**
 * A failure of a storage back end. `message` is for logs; clients get only what `distribution/errors.ts` makes
 * of the code. `driver` and `operation` say where it happened.
 */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly code: StorageErrorCode;
  readonly driver: string;
  readonly operation: string;

  constructor(code: StorageErrorCode, details: StorageErrorDetails) {
    super(`${details.driver}: ${details.operation}: ${details.message}`, { cause: details.cause });
    this.code = code;
    this.driver = details.driver;
    this.operation = details.operation;
  }
}

export interface StorageErrorDetails {
  readonly driver: string;
  readonly operation: string;
  readonly message: string;
  readonly cause?: unknown;
}

/** True for a {@link StorageError} with this code. */
export function isStorageError(error: unknown, code: StorageErrorCode): error is StorageError {
  return error instanceof StorageError && error.code === code;
}
