import { command } from '../cluster/command.ts';
import { toolPath } from '../helpers/tools.ts';

/** What one run of the load generator came to. Fields that its command does not have are missing. */
export interface Outcome {
  readonly bytes: number;
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  /** Requests per second, or 10⁶ bytes per second. */
  readonly rate: number;
  /** Milliseconds. */
  readonly p50?: number;
  readonly p99?: number;
}

/**
 * Runs `loadgen`, see test/bench/loadgen.
 *
 * @throws Error when it could not do all that it should
 */
export async function runLoad(args: readonly string[]): Promise<Outcome> {
  const outcome = JSON.parse(await loadgen(args)) as Outcome;
  if (outcome.errors > 0) throw new Error(`loadgen ${args[0]}: ${outcome.errors} errors`);
  return outcome;
}

/** @returns the line of JSON that it prints */
export async function loadgen(args: readonly string[]): Promise<string> {
  return command(toolPath('loadgen'), args);
}
