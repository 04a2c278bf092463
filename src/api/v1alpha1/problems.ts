import type * as z from 'zod';

import type { RuleViolation } from './rule.ts';

/** Puts what zod and the rules find into the words of the API server, so that both read alike. */

/** `value` is the whole document that was checked; zod's issues do not always carry what they refuse. */
export function describeIssue(issue: z.core.$ZodIssue, document: unknown, root: string): string {
  const path = joinPath(root, issue.path);
  const value = valueAt(document, issue.path);
  const { code } = issue;
  if (code === 'too_small' || code === 'too_big') return outOfBounds(issue, path, value);
  if (code === 'custom') return duplicate(issue, path);
  if (value === undefined) return `${path}: Required value`;
  if (code === 'invalid_value') return unsupported(path, value, issue.values);
  if (code === 'invalid_type' || code === 'invalid_union') return wrongType(path, value, expectedType(issue));
  return `${path}: Invalid value: ${JSON.stringify(value)}: ${issue.message}`;
}

export function unknownField(path: string): string {
  return `unknown field "${path}"`;
}

/** The API server shows the type of the value that a rule is about, not the value. */
export function describeViolation({ rule, path, message, shownType }: RuleViolation): string {
  if (rule.reason === 'FieldValueForbidden') return `${path}: Forbidden: ${message}`;
  return `${path}: Invalid value: ${JSON.stringify(shownType)}: ${message}`;
}

function joinPath(root: string, path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (joined, key) =>
      `${joined}${typeof key === 'number' ? `[${key}]` : `${joined === '' ? '' : '.'}${String(key)}`}`,
    root,
  );
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    document,
  );
}

function wrongType(path: string, value: unknown, expected: string): string {
  const shown = JSON.stringify(typeName(value));
  return `${path}: Invalid value: ${shown}: ${path} in body must be of type ${expected}: ${shown}`;
}

function expectedType(issue: z.core.$ZodIssueInvalidType | z.core.$ZodIssueInvalidUnion): string {
  if (issue.code === 'invalid_union') return 'integer,string';
  const { expected } = issue;
  if (expected === 'int') return 'integer';
  return expected === 'record' ? 'object' : expected;
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function unsupported(path: string, value: unknown, values: readonly z.core.util.Primitive[]): string {
  const supported = values.map((known) => JSON.stringify(known)).join(', ');
  return `${path}: Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
}

function outOfBounds(
  issue: z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall,
  path: string,
  value: unknown,
): string {
  if (issue.code === 'too_small') {
    const least = {
      array: `have at least ${issue.minimum} items`,
      string: `be at least ${issue.minimum} chars long`,
    };
    const words = least[issue.origin === 'array' ? 'array' : 'string'];
    if (issue.origin === 'array')
      return `${path}: Invalid value: ${size(value)}: ${path} in body should ${words}`;
    if (issue.origin === 'string')
      return `${path}: Invalid value: ${JSON.stringify(value)}: ${path} in body should ${words}`;
    return `${path}: Invalid value: ${JSON.stringify(value)}: ${path} in body should be greater than or equal to ${issue.minimum}`;
  }
  if (issue.origin === 'array')
    return `${path}: Too many: ${size(value)}: must have at most ${issue.maximum} items`;
  if (issue.origin === 'string') return `${path}: Too long: may not be more than ${issue.maximum} bytes`;
  return `${path}: Invalid value: ${JSON.stringify(value)}: ${path} in body should be less than or equal to ${issue.maximum}`;
}

function size(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}

function duplicate(issue: z.core.$ZodIssueCustom, path: string): string {
  const shown = issue.params?.['duplicate'];
  if (shown === undefined) return `${path}: Too many: ${issue.message}`;
  return `${path}: Duplicate value: ${JSON.stringify(shown)}`;
}
