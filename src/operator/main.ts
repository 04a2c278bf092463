#!/usr/bin/env node
import { randomBytes, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../shared/clock.ts';
import { AppError, errorMessage } from '../shared/errors.ts';
import { runUntilSignal } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/logger.ts';
import { VERSION } from '../shared/version.ts';
import { HELP, parseCommandLine, UsageError, type Command } from './command-line.ts';
import { loadConfig } from './config.ts';

/** @returns the exit code: 0 after an orderly stop, 1 when it cannot start, 2 when the command line is wrong */
async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseCommandLine(args, process.env);
    switch (command.kind) {
      case 'help':
        process.stdout.write(HELP);
        break;
      case 'version':
        process.stdout.write(`${VERSION}\n`);
        break;
      case 'run':
        await run(command);
        break;
      case 'local':
        await local(command);
        break;
      default:
        return command satisfies never;
    }
    return 0;
  } catch (error) {
    const usage = error instanceof UsageError;
    process.stderr.write(`operator: ${describe(error)}\n${usage ? '\nSee operator --help.\n' : ''}`);
    return usage ? 2 : 1;
  }
}

async function run({ flags, kubeconfig }: Extract<Command, { kind: 'run' }>): Promise<void> {
  const config = loadConfig({ flags, env: process.env, version: VERSION, hostname: hostname() });
  const logger = createLogger({ level: config.logLevel });
  // Loaded here: local mode needs none of it, and client-node takes long to load.
  const { createRegistryController } = await import('./controllers/registry/index.ts');
  const { loadKubeConfig } = await import('./kube/kube-config.ts');
  const { Transport } = await import('./kube/transport.ts');
  const { Manager } = await import('./manager.ts');
  const { createOperatorMetrics } = await import('./metrics.ts');
  const manager = new Manager({
    config,
    transport: new Transport({
      config: loadKubeConfig(kubeconfig),
      userAgent: `registry-operator/${VERSION}`,
    }),
    createController: createRegistryController,
    clock: systemClock,
    random: Math.random,
    fetch,
    logger,
    metrics: createOperatorMetrics(),
    identity: `${config.instance}_${randomUUID()}`,
    // Another process works by now: nothing may be finished or flushed.
    onLost: () => process.exit(1),
  });
  await manager.start();
  await runUntilSignal((reason) => manager.stop(reason), process);
}

async function local(command: Extract<Command, { kind: 'local' }>): Promise<void> {
  const { endWithParent } = await import('./local/end-with-parent.ts');
  const { runLocal } = await import('./local/main.ts');
  endWithParent();
  const ended = new AbortController();
  const running = runLocal({
    ...command,
    server: { command: process.execPath, args: [registryProgram()] },
    version: VERSION,
    clock: systemClock,
    randomBytes,
    print: (line) => process.stdout.write(`${line}\n`),
    signal: ended.signal,
  });
  const signalled = runUntilSignal(async (reason) => {
    ended.abort(new Error(reason));
    await running;
  }, process);
  await Promise.race([running, signalled]);
}

/** The registry server beside this program: its source, or its bundle. */
function registryProgram(): string {
  const inSources = import.meta.url.endsWith('.ts');
  return fileURLToPath(new URL(inSources ? '../registry/main.ts' : './registry.js', import.meta.url));
}

/** Expected failures are told by their message; the stack of an unexpected one helps to report it. */
function describe(error: unknown): string {
  if (error instanceof AppError || !(error instanceof Error)) return errorMessage(error);
  return 'syscall' in error ? error.message : (error.stack ?? error.message);
}

process.exitCode = await main(process.argv.slice(2));
