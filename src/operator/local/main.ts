import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Registry } from '../../api/v1alpha1/registry.ts';
import type { Clock } from '../../shared/clock.ts';
import { AppError, errorCode, errorMessage } from '../../shared/errors.ts';
import { check } from '../controllers/registry/checks.ts';
import { applyFiles, localPlan, type LocalPlan, makeFolders } from './apply.ts';
import { ManifestError } from './documents.ts';
import { END_WITH_PARENT } from './end-with-parent.ts';
import { type LocalAddresses, type LocalFolders, localFolders } from './folders.ts';
import { gatherLocal } from './gather.ts';
import { lockFolder } from './lock.ts';
import { requireFreePorts } from './ports.ts';
import { logLine, nameOf, usageLines } from './report.ts';
import { CHECK_REPOSITORY, probe, pushAndPull } from './self-check.ts';
import { type Command, Supervisor } from './supervise.ts';
import { validate, type ValidManifests } from './validate.ts';
import { changesOf } from './watch-file.ts';

export interface LocalOptions extends LocalAddresses {
  /** The manifest file. */
  readonly file: string;
  /** Folder below which the state of every Registry is kept. */
  readonly stateRoot: string;
  /** The registry server, a program of Node; the arguments of its container follow these. */
  readonly server: Command;
  readonly version: string;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
  /** Where a person reads along. */
  readonly print: (line: string) => void;
  /** Aborted when everything has to end. */
  readonly signal: AbortSignal;
}

/** How long a server may take until it is ready with what was given to it. */
const READY_MS = 30_000;
/** A process on this host needs less time for its last requests than a Pod. */
const GRACE_MS = 10_000;
const POLL_MS = 25;

/** What runs now. */
interface Running {
  readonly registry: Registry;
  readonly folders: LocalFolders;
  readonly plan: LocalPlan;
}

/**
 * `operator local FILE`: one Registry as files and a process of this host, kept as the file says until the signal.
 *
 * @throws ManifestError or AppError when it cannot be started; later mistakes in the file are printed, and what runs
 *   goes on
 */
export async function runLocal(options: LocalOptions): Promise<void> {
  const startedAt = options.clock.monotonic();
  const first = validate(await readManifest(options.file), options.file, undefined);
  const folders = foldersOf(first.registry, options);
  const unlock = await onState(folders.root, () => lockFolder(folders.root));
  const supervisor = new Supervisor(
    {
      line: (line) => printLog(line, options.print),
      crashed: (reason, delayMs) =>
        options.print(`The registry server ended (${reason}); it starts again in ${delayMs} ms.`),
    },
    { graceMs: GRACE_MS },
  );
  try {
    await requireFreePorts(options);
    const running = await reconcile(first, folders, supervisor, options);
    await selfCheck(running, options);
    if (running.plan.notApplied.length > 0)
      options.print(`Not applied without a cluster: ${running.plan.notApplied.join(', ')}`);
    const seconds = (options.clock.monotonic() - startedAt) / 1000;
    for (const line of usageLines({ registry: running.registry, folders, seconds })) options.print(line);
    await followEdits(running, supervisor, options);
  } catch (error) {
    // Being told to end while it starts is no failure.
    if (!options.signal.aborted) throw error;
  } finally {
    await supervisor.stop();
    await unlock();
  }
  options.print('The registry has ended; its content is kept.');
}

function foldersOf({ metadata }: Registry, options: LocalOptions): LocalFolders {
  const root = resolve(join(options.stateRoot, metadata.namespace ?? 'default', metadata.name));
  return localFolders(root, options);
}

/** Secrets and ConfigMaps come from nowhere else: say so to those who think of a cluster. */
function withHint(message: string): string {
  return message.endsWith(' not found')
    ? `${message}; add it to the file as a further YAML document`
    : message;
}

const STATE_PROBLEMS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
  EDQUOT: 'the quota is used up',
  ENOTDIR: 'a part of the path is a file',
};

/** Runs what writes to the state folder. @throws AppError that names the folder when the host refuses */
async function onState<T>(root: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    const problem = STATE_PROBLEMS[errorCode(error) ?? ''];
    if (problem === undefined) throw error;
    throw new AppError(
      'STATE',
      `cannot write to ${root}: ${problem}; choose another folder with --state DIR`,
      {
        cause: error,
      },
    );
  }
}

const READ_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'is a folder; name a file',
  EACCES: 'permission denied',
};

async function readManifest(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new ManifestError([`${file}: ${READ_PROBLEMS[errorCode(error) ?? ''] ?? errorMessage(error)}`]);
  }
}

/** gather → checks → desired → apply, and then until the server has loaded it. */
async function reconcile(
  { registry, manifests }: ValidManifests,
  folders: LocalFolders,
  supervisor: Supervisor,
  options: LocalOptions,
): Promise<Running> {
  const { version, clock, randomBytes } = options;
  const now = clock.now();
  const facts = await onState(folders.root, () =>
    gatherLocal({ registry, manifests, folders, version, now, randomBytes }),
  );
  const violations = check(registry, facts);
  if (violations.length > 0)
    throw new ManifestError(violations.map(({ message }) => `${options.file}: ${withHint(message)}`));
  const plan = localPlan(registry, facts, folders.placement);
  await onState(folders.root, async () => {
    await makeFolders(folders.placement);
    await applyFiles(plan.files, folders.placement);
  });
  const { command, args } = options.server;
  await supervisor.run({ command, args: [...END_WITH_PARENT, ...args, ...plan.args] }, plan.restartHash);
  await untilLoaded(plan, options);
  return { registry, folders, plan };
}

/** Waits until the ops port says that exactly this configuration is in force. */
async function untilLoaded(plan: LocalPlan, options: LocalOptions): Promise<void> {
  const deadline = options.clock.monotonic() + READY_MS;
  let last = 'no answer';
  while (options.clock.monotonic() < deadline) {
    const state = await readyState(options.opsListen, options.signal);
    if (state.loadedHash === plan.wantedHash && state.status === 'ready') return;
    last = state.status;
    await options.clock.sleep(POLL_MS, options.signal);
  }
  throw new AppError('NOT_READY', `the registry server was not ready within ${READY_MS / 1000} s: ${last}`);
}

async function readyState(
  opsListen: string,
  signal: AbortSignal,
): Promise<{ status: string; loadedHash: unknown }> {
  try {
    const answer: unknown = await (await fetch(`http://${opsListen}/readyz?verbose`, { signal })).json();
    if (typeof answer !== 'object' || answer === null) return { status: 'no answer', loadedHash: undefined };
    return { status: String(Reflect.get(answer, 'status')), loadedHash: Reflect.get(answer, 'loadedHash') };
  } catch (error) {
    signal.throwIfAborted();
    return { status: errorMessage(error), loadedHash: undefined };
  }
}

/** Uses the registry as a client would, and says what it saw. */
async function selfCheck({ registry, folders }: Running, options: LocalOptions): Promise<void> {
  const plain = registry.spec.tls.type === 'None';
  const scheme = plain ? 'http' : 'https';
  const ca = registry.spec.tls.type === 'SelfSigned' ? await readFile(folders.caFile, 'utf8') : undefined;
  const target = { url: `${scheme}://${folders.placement.listen}`, ca, signal: options.signal };
  if (registry.spec.auth.anonymous === 'PullPush') {
    const content = Buffer.from(`written by registry-operator ${options.version}\n`);
    const digest = await pushAndPull(target, content);
    options.print(
      `Pushed ${CHECK_REPOSITORY}:latest over ${scheme.toUpperCase()}, pulled it back and verified its digest: ${digest}`,
    );
  } else if (registry.spec.tls.type !== 'Secret') {
    const access = await probe(target);
    options.print(
      `The registry answers over ${scheme.toUpperCase()}${access === 'credentials' ? ' and asks for a user' : ''}.`,
    );
  }
}

/** Takes over every edit of the file that is valid, until the signal. */
async function followEdits(first: Running, supervisor: Supervisor, options: LocalOptions): Promise<void> {
  let running = first;
  for await (const _ of changesOf(resolve(options.file), options.signal)) {
    try {
      const next = validate(await readManifest(options.file), options.file, running.registry);
      requireSameName(running.registry, next.registry);
      const pid = supervisor.pid;
      const before = running.plan.wantedHash;
      running = await reconcile(next, running.folders, supervisor, options);
      if (running.plan.wantedHash === before)
        options.print(`${options.file}: nothing changes for this host.`);
      else
        options.print(
          `${options.file}: taken over ${pid === supervisor.pid ? 'without a restart' : 'by a restart of the server'}.`,
        );
    } catch (error) {
      if (options.signal.aborted) return;
      options.print(`Not taken over, what runs goes on:\n${errorMessage(error)}`);
    }
  }
}

function requireSameName(running: Registry, next: Registry): void {
  if (nameOf(running) === nameOf(next)) return;
  throw new AppError(
    'RENAMED',
    `metadata.name: ${nameOf(running)} runs here; end it before you start ${nameOf(next)}`,
  );
}

function printLog(line: string, print: (line: string) => void): void {
  const text = logLine(line);
  if (text !== undefined) print(text);
}
