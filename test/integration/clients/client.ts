import { command } from '../../cluster/command.ts';
import { toolPath } from '../../helpers/tools.ts';

/** Whether a client got through; other failures than a missing or insufficient login are thrown. */
export async function isAllowed(run: Promise<string>): Promise<boolean> {
  try {
    await run;
    return true;
  } catch (error) {
    if (error instanceof Error && /UNAUTHORIZED|401/.test(error.message)) return false;
    throw error;
  }
}

/** Runs a client with arguments. @returns its standard output, trimmed */
export type Client = (...args: string[]) => Promise<string>;

/** @param first arguments of every call */
export function clientOf(name: string, env: NodeJS.ProcessEnv, ...first: string[]): Client {
  return async (...args) => (await command(toolPath(name), [...first, ...args], { env })).trim();
}
