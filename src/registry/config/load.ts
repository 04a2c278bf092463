import { isMap, LineCounter, parseDocument, type Document } from 'yaml';
import type * as z from 'zod';

import { RegistryConfig } from '../../api/registry-config.ts';
import { AppError, errorMessage } from '../../shared/errors.ts';

/** The configuration cannot be used; `problems` name the file, the field and, where known, the line. */
export class ConfigInvalid extends AppError {
  override readonly name = 'ConfigInvalid';
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[]) {
    super('CONFIG_INVALID', `${file} cannot be used:\n${problems.map((text) => `  ${text}`).join('\n')}`);
    this.problems = problems;
  }
}

/**
 * Reads a configuration in YAML or JSON, fills in the defaults and freezes it.
 *
 * @param file its name, for messages
 * @throws ConfigInvalid with every problem at once
 */
export function parseConfig(bytes: Uint8Array, file: string): RegistryConfig {
  const lines = new LineCounter();
  const document = parseDocument(new TextDecoder().decode(bytes), {
    lineCounter: lines,
    prettyErrors: false,
    // Warnings would go to standard error past the log.
    logLevel: 'error',
  });
  const syntax = document.errors.map(({ message, pos }) => `line ${lines.linePos(pos[0]).line}: ${message}`);
  if (syntax.length > 0) throw new ConfigInvalid(file, syntax);
  const value = resolve(document, file);
  const lineOf = (path: readonly PropertyKey[]): number | undefined => lineOfPath(document, lines, path);
  return checkConfig(value, file, lineOf);
}

/** Aliases are followed only here: one may name nothing, or they may grow without an end. */
function resolve(document: Document.Parsed, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new ConfigInvalid(file, [errorMessage(error)]);
  }
}

/**
 * Checks a configuration that is an object already.
 *
 * @throws ConfigInvalid
 */
function checkConfig(
  value: unknown,
  source: string,
  lineOf: (path: readonly PropertyKey[]) => number | undefined = () => undefined,
): RegistryConfig {
  const result = RegistryConfig.safeParse(value);
  if (!result.success) {
    throw new ConfigInvalid(
      source,
      result.error.issues.flatMap((issue) => problemsOf(issue, lineOf)),
    );
  }
  const { auth, http, storage } = result.data;
  if (storage.driver === 'memory' && http.processes !== 1) {
    const problem = located('http.processes', lineOf(['http', 'processes']));
    throw new ConfigInvalid(source, [
      `${problem}: must be 1 with the memory driver, which no process shares`,
    ]);
  }
  if (!auth.basic && auth.anonymous === 'None') {
    const problem = located('auth', lineOf(['auth']));
    throw new ConfigInvalid(source, [`${problem}: nobody could use this registry; set basic or anonymous`]);
  }
  return deepFreeze(result.data);
}

function problemsOf(
  issue: z.core.$ZodIssue,
  lineOf: (path: readonly PropertyKey[]) => number | undefined,
): string[] {
  if (issue.code !== 'unrecognized_keys') {
    return [`${located(fieldOf(issue.path), lineOf(issue.path))}: ${wordsOf(issue)}`];
  }
  return issue.keys.map((key) => {
    const path = [...issue.path, key];
    return `${located(fieldOf(path), lineOf(path))}: unknown field`;
  });
}

function wordsOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined/.test(issue.message)) {
    return 'is required';
  }
  return issue.message;
}

function located(field: string, line: number | undefined): string {
  return line === undefined ? field : `${field} (line ${line})`;
}

/** `auth.basic.htpasswdFiles[0]` */
function fieldOf(path: readonly PropertyKey[]): string {
  const text = path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  return text === '' ? 'the configuration' : text;
}

/** The line of a field, or of the nearest one around it that is there. */
function lineOfPath(
  document: Document.Parsed,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const parent: unknown =
      length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1];
    const pair = isMap(parent) ? parent.items.find((item) => String(item.key) === String(key)) : undefined;
    const offset = rangeOf(pair?.key) ?? rangeOf(document.getIn(path.slice(0, length), true));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== 'object' || node === null || !('range' in node)) return undefined;
  const [start] = Array.isArray(node.range) ? node.range : [];
  return typeof start === 'number' ? start : undefined;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const member of Object.values(value)) deepFreeze(member);
  return Object.freeze(value);
}
