/**
 * Base of every error that this project throws on purpose.
 *
 * `code` is a literal per class, so callers test `error.code` or `instanceof` and never the message. Set
 * `name` explicitly in each subclass: bundling renames constructors.
 */
export class AppError extends Error {
  override readonly name: string = 'AppError';
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of anything that was thrown, without its stack. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error (`ENOENT`, `EADDRINUSE`, …) or of an {@link AppError}. */
export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
