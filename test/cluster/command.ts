import { spawn } from 'node:child_process';

export interface CommandOptions {
  /** Sent to the program's standard input. */
  readonly input?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal;
}

/**
 * Runs a program to its end.
 *
 * @returns its standard output
 * @throws Error with both outputs when the status is not 0
 */
export async function command(
  program: string,
  args: readonly string[],
  { input, env = process.env, signal }: CommandOptions = {},
): Promise<string> {
  const child = spawn(program, args, { env, signal, stdio: ['pipe', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A program may end without reading its input; its status says whether that was right.
  child.stdin.on('error', () => undefined).end(input);
  const status = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, killedBy) => resolve(code ?? killedBy));
  });
  if (status !== 0) {
    throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`.trim());
  }
  return stdout;
}
