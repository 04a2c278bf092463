import { AppError, errorMessage } from '../shared/errors.ts';

/** Expected failures are told by their message; the stack of an unexpected one helps to report it. */
export function failureText(error: unknown): string {
  if (error instanceof AppError || !(error instanceof Error)) return errorMessage(error);
  return error.name === 'StorageError' || 'syscall' in error ? error.message : (error.stack ?? error.message);
}
