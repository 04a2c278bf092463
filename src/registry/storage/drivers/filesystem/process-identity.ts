import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

import { errorCode } from '../../../../shared/errors.ts';

/** Which process holds a lock, told apart from a later one that got the same number. */
export interface ProcessIdentity {
  readonly host: string;
  /** Changes with every boot; the host name where the system tells none. */
  readonly boot: string;
  /** Process numbers compare only within one namespace: every container has its own. */
  readonly pidNamespace: string;
  readonly pid: number;
  /** Clock ticks from boot to the start of the process; empty where the system does not tell. */
  readonly started: string;
}

/** The identity of this process. */
export function ownIdentity(): ProcessIdentity {
  const host = hostname();
  return {
    host,
    boot: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()) ?? host,
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')) ?? '',
    pid: process.pid,
    started: startOf(process.pid) ?? '',
  };
}

/**
 * Whether the process of a lock still runs.
 * @returns undefined when it cannot be told from here: it ran in another container or on another machine
 */
export function isAlive(holder: ProcessIdentity, own: ProcessIdentity): boolean | undefined {
  if (holder.host === own.host && holder.boot !== own.boot) return false;
  if (holder.boot !== own.boot || holder.pidNamespace !== own.pidNamespace) return undefined;
  if (holder.started !== '') return startOf(holder.pid) === holder.started;
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}

/**
 * Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and brackets.
 * @returns undefined when there is no such process, or only its exit status is left of it
 */
function startOf(pid: number): string | undefined {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || 'ZX'.includes(fields[0] ?? '') ? undefined : fields[19];
}

function attempt(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
