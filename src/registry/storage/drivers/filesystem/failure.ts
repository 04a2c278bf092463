import { errorCode, errorMessage } from '../../../../shared/errors.ts';
import { StorageError, type StorageErrorCode } from '../../errors.ts';

const CODES: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'NOT_FOUND',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  EACCES: 'ACCESS_DENIED',
  EPERM: 'ACCESS_DENIED',
  EROFS: 'ACCESS_DENIED',
  // O_NOFOLLOW met a symbolic link, which might lead out of the root.
  ELOOP: 'ACCESS_DENIED',
  ENAMETOOLONG: 'INVALID_KEY',
  ENOTDIR: 'INVALID_KEY',
  EISDIR: 'INVALID_KEY',
  EIO: 'READ_FAILED',
};

/** An error of this driver that no system call reported. */
export function failure(code: StorageErrorCode, operation: string, message: string): StorageError {
  return new StorageError(code, { driver: 'filesystem', operation, message });
}

/** What a system call threw, in the words of the port; UNAVAILABLE when there is no better one. */
export function fromSystem(error: unknown, operation: string): StorageError {
  if (error instanceof StorageError) return error;
  const code = CODES[errorCode(error) ?? ''] ?? 'UNAVAILABLE';
  return new StorageError(code, {
    driver: 'filesystem',
    operation,
    message: errorMessage(error),
    cause: error,
  });
}

/** True when there is no such file, also because a part of its path is a file. */
export function isMissing(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}
