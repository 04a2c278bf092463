import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

import { type Address, parseAddress } from '../../shared/address.ts';
import { AppError, errorCode, errorMessage } from '../../shared/errors.ts';
import type { LocalAddresses } from './folders.ts';

/** @throws AppError that names the address which cannot be listened on, who has it, and how to take another */
export async function requireFreePorts({ listen, opsListen }: LocalAddresses): Promise<void> {
  for (const [flag, text] of [
    ['--listen', listen],
    ['--ops', opsListen],
  ] as const) {
    const { host, port } = addressOf(flag, text);
    const problem = await listenProblem(host, port);
    if (problem === undefined) continue;
    const why =
      problem === 'EADDRINUSE'
        ? `is taken by ${(await portHolder(port)) ?? 'another process'}`
        : `cannot be used (${problem})`;
    const another = problem === 'EADDRNOTAVAIL' ? 'HOST' : host;
    throw new AppError('PORT_TAKEN', `${text} ${why}; choose another with ${flag} ${another}:PORT`);
  }
}

function addressOf(flag: string, text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw new AppError('INVALID_ADDRESS', `${flag}: ${errorMessage(error)}`, { cause: error });
  }
}

function listenProblem(host: string, port: number): Promise<string | undefined> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error) => done(errorCode(error) ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => done(undefined)));
  });
}

/** State of a listening socket in `/proc/net/tcp`. */
const LISTENS = '0A';

/**
 * Who listens on a TCP port, such as `process 123 (node server.js)`; undefined where that cannot be seen: on another
 * system than Linux, or when the process belongs to another user.
 */
export async function portHolder(port: number): Promise<string | undefined> {
  const sockets = new Set((await Promise.all(['tcp', 'tcp6'].map((name) => listeners(name, port)))).flat());
  if (sockets.size === 0) return undefined;
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    if (!(await holdsOne(pid, sockets))) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    return `process ${pid} (${shorten(command)})`;
  }
  return undefined;
}

/** Inodes of the sockets that listen on a port, as `/proc/<pid>/fd` shows them. */
async function listeners(table: string, port: number): Promise<string[]> {
  const text = await readFile(join('/proc/net', table), 'utf8').catch(() => '');
  const hexadecimal = port.toString(16).toUpperCase().padStart(4, '0');
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(`:${hexadecimal}`) && columns[3] === LISTENS)
    .map((columns) => `socket:[${columns[9]}]`);
}

async function holdsOne(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  for (const name of await readdir(folder).catch(() => [])) {
    const target = await readlink(join(folder, name)).catch(() => '');
    if (sockets.has(target)) return true;
  }
  return false;
}

/** A command line in few words: without the source that Node is given as an option, and cut where it is long. */
function shorten(command: string): string {
  const text = command
    .replaceAll(/--import\0data:[^\0]*\0/g, '')
    .split('\0')
    .join(' ')
    .trim();
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
}
