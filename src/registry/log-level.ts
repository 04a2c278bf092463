import type { LoggingConfig } from '../api/registry-config.ts';
import type { LogLevel } from '../shared/logger.ts';

/** The level of the logger for a configuration. */
export function levelOf({ level }: LoggingConfig): LogLevel {
  const levels = { Error: 'error', Warn: 'warn', Info: 'info', Debug: 'debug' } as const;
  return levels[level];
}
