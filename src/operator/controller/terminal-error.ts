import { AppError } from '../../shared/errors.ts';

/** A failure that no retry can mend: the key is reconciled again only when something it depends on changes. */
export class TerminalError extends AppError {
  override readonly name = 'TerminalError';

  constructor(message: string, options?: { cause?: unknown }) {
    super('TERMINAL', message, options);
  }
}
