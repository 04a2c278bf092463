#!/usr/bin/env node
import { systemClock } from '../shared/clock.ts';
import { AppError, errorMessage } from '../shared/errors.ts';
import { runUntilSignal } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/logger.ts';
import { VERSION } from '../shared/version.ts';
import { HELP, parseCommandLine, UsageError, type Command } from './config/command-line.ts';
import { constantSource, fileSource, readSnapshot } from './config/snapshot.ts';
import { RegistryMetrics } from './metrics.ts';
import { levelOf, RegistryServer } from './server.ts';

/** @returns the exit code: 0 after an orderly stop, 1 when it cannot start, 2 when the command line is wrong */
async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseCommandLine(args, process.cwd());
    if (command.kind === 'help') process.stdout.write(HELP);
    else if (command.kind === 'version') process.stdout.write(`${VERSION}\n`);
    else await serve(command);
    return 0;
  } catch (error) {
    const usage = error instanceof UsageError;
    process.stderr.write(`registry: ${describe(error)}\n${usage ? '\nSee registry --help.\n' : ''}`);
    return usage ? 2 : 1;
  }
}

async function serve(command: Extract<Command, { kind: 'serve' }>): Promise<void> {
  const source =
    'file' in command ? fileSource(command.file) : constantSource('the command line', command.config);
  const snapshot = await readSnapshot(source);
  const logger = createLogger({ level: levelOf(snapshot.config.logging) });
  const server = await RegistryServer.start({
    source,
    snapshot,
    version: VERSION,
    clock: systemClock,
    logger,
    metrics: new RegistryMetrics(VERSION),
    memoryLimit: process.constrainedMemory(),
  });
  // By custom it means that the configuration has changed; it must not end the server under its clients.
  process.on('SIGHUP', () => void server.reload());
  await runUntilSignal((reason) => server.stop(reason), process);
}

/** Expected failures are told by their message; the stack of an unexpected one helps to report it. */
function describe(error: unknown): string {
  if (error instanceof AppError || !(error instanceof Error)) return errorMessage(error);
  return error.name === 'StorageError' || 'syscall' in error ? error.message : (error.stack ?? error.message);
}

process.exitCode = await main(process.argv.slice(2));
