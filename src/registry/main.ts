#!/usr/bin/env node
import { systemClock } from '../shared/clock.ts';
import { onHangUp } from '../shared/hang-up.ts';
import { runUntilSignal } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/logger.ts';
import { VERSION } from '../shared/version.ts';
import { HELP, parseCommandLine, UsageError, type Command } from './config/command-line.ts';
import {
  constantSource,
  fileSource,
  readSnapshot,
  type ConfigSource,
  type Snapshot,
} from './config/snapshot.ts';
import { failureText } from './failure-text.ts';
import { levelOf } from './log-level.ts';
import { processCount } from './processes/process-count.ts';
import { keepYoungMemorySmall } from './young-memory.ts';

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
    process.stderr.write(`registry: ${failureText(error)}\n${usage ? '\nSee registry --help.\n' : ''}`);
    return usage ? 2 : 1;
  }
}

async function serve(command: Extract<Command, { kind: 'serve' }>): Promise<void> {
  const source =
    'file' in command ? fileSource(command.file) : constantSource('the command line', command.config);
  // Before anything that takes time: the signal must not end the server under its clients, nor before it has any.
  const whenHungUp = onHangUp(process);
  const snapshot = await readSnapshot(source);
  const count = await processCount(snapshot.config.http.processes);
  const given = { source, snapshot, whenHungUp };
  await (count === 1 ? serveAlone(given) : serveTogether(given, count));
}

interface Given {
  readonly source: ConfigSource;
  readonly snapshot: Snapshot;
  readonly whenHungUp: ReturnType<typeof onHangUp>;
}

async function serveAlone({ source, snapshot, whenHungUp }: Given): Promise<void> {
  // What serves is not loaded where it is only watched.
  const [{ RegistryServer }, { RegistryMetrics }] = await Promise.all([
    import('./server.ts'),
    import('./metrics.ts'),
  ]);
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
  whenHungUp(() => void server.reload());
  await runUntilSignal((reason) => server.stop(reason), process);
}

async function serveTogether({ source, snapshot, whenHungUp }: Given, count: number): Promise<void> {
  const { Supervisor } = await import('./processes/supervisor.ts');
  const supervisor = await Supervisor.start({ source, snapshot, count, version: VERSION });
  whenHungUp(() => supervisor.reload());
  await runUntilSignal((reason) => supervisor.stop(reason), process);
}

keepYoungMemorySmall();
process.exitCode = await main(process.argv.slice(2));
