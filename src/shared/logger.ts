import { destination, pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

/** Levels in the spelling of pino, the lowest that is written. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'silent';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Fields of every line. */
  readonly base?: Readonly<Record<string, unknown>>;
  /** Where lines go; standard output when unset. */
  readonly destination?: DestinationStream;
}

/** Header fields that carry credentials, wherever they stand in a logged object. */
const SECRETS = ['authorization', 'cookie'];
const REDACTED = ['', '*.', '*.*.'].flatMap((depth) => SECRETS.map((name) => depth + name));

/**
 * A logger that writes one JSON object per line: `level` as text, `time` in ISO 8601, `msg` (static text),
 * data as fields. Change the level of a running logger with `logger.level = …`.
 */
export function createLogger(options: LoggerOptions): Logger {
  const settings = {
    level: options.level,
    base: options.base ?? null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED, censor: '[redacted]' },
  };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}

/** Standard output for several writers of whole lines: what one of them writes is not cut by another. */
export function standardOutput(): DestinationStream {
  return destination({ fd: 1, sync: true });
}
