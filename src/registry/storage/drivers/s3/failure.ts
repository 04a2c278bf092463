import { S3ServiceException } from '@aws-sdk/client-s3';

import { errorMessage } from '../../../../shared/errors.ts';
import { StorageError, type StorageErrorCode } from '../../errors.ts';

/** Names of errors, of AWS and of servers that speak its language. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  NoSuchKey: 'NOT_FOUND',
  NotFound: 'NOT_FOUND',
  // Also a 404, but it says that the configuration is wrong.
  NoSuchBucket: 'UNAVAILABLE',
  InvalidRange: 'INVALID_RANGE',
  AccessDenied: 'ACCESS_DENIED',
  CredentialsProviderError: 'ACCESS_DENIED',
  QuotaExceeded: 'NO_SPACE',
  XMinioStorageFull: 'NO_SPACE',
  // What an upload was made of is not what its writer knows of it: another writer was there.
  InvalidPart: 'SESSION_BUSY',
  NoSuchUpload: 'SESSION_BUSY',
};

/** An error of this driver that no request reported. */
export function failure(code: StorageErrorCode, operation: string, message: string): StorageError {
  return new StorageError(code, { driver: 's3', operation, message });
}

/** What the SDK threw, in the words of the port; UNAVAILABLE when there is no better one. */
export function fromSdk(error: unknown, operation: string): StorageError {
  if (error instanceof StorageError) return error;
  const name = error instanceof Error ? error.name : '';
  return new StorageError(CODES[name] ?? byStatus(statusOf(error)), {
    driver: 's3',
    operation,
    message: `${name}: ${errorMessage(error)}`,
    cause: error,
  });
}

/** HTTP status of the response that an SDK error stands for. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** True when the object is missing, and not the bucket. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && CODES[error.name] === 'NOT_FOUND';
}

function byStatus(status: number | undefined): StorageErrorCode {
  if (status === 401 || status === 403) return 'ACCESS_DENIED';
  if (status === 404) return 'NOT_FOUND';
  if (status === 412) return 'SESSION_BUSY';
  if (status === 416) return 'INVALID_RANGE';
  return status === 507 ? 'NO_SPACE' : 'UNAVAILABLE';
}
