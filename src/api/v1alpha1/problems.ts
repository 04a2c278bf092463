import type * as z from 'zod';

import type { RuleViolation } from './rule.ts';

/** Puts what zod and the rules find into the words of the API server, so that both read alike. */

/** `value` is the whole document that was checked; zod's issues do not always carry what they refuse. */
export function describeIssue(issue: z.core.$ZodIssue, document: unknown, root: string): string {
  const path = joinPath(root, issue.path);
  const value = valueAt(document, issue.path);
  const { code } = issue;
  if (code === 'too_small' || code === 'too_big') return outOfBounds(issue, path, value);
  if (code === 'custom') return custom(issue, path, value);
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

/** Every number of the API is an integer, and every union an int-or-string. */
function expectedType(issue: z.core.$ZodIssueInvalidType | z.core.$ZodIssueInvalidUnion): string {
  if (issue.code === 'invalid_union') return 'integer,string';
  if (issue.expected === 'int' || issue.expected === 'number') return 'integer';
  return issue.expected === 'record' ? 'object' : issue.expected;
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

type BoundsIssue = z.core.$ZodIssueTooBig | z.core.$ZodIssueTooSmall;

function outOfBounds(issue: BoundsIssue, path: string, value: unknown): string {
  const shown = JSON.stringify(Array.isArray(value) ? value.length : value);
  if (issue.code === 'too_big') {
    if (issue.origin === 'array') return tooMany(path, shown, Number(issue.maximum));
    if (issue.origin === 'string') return `${path}: Too long: may not be more than ${issue.maximum} bytes`;
    return `${path}: Invalid value: ${shown}: ${path} in body should be less than or equal to ${issue.maximum}`;
  }
  return `${path}: Invalid value: ${shown}: ${path} in body should ${least(issue)}`;
}

function least({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  if (origin === 'array') return `have at least ${minimum} items`;
  return origin === 'string' ? `be at least ${minimum} chars long` : `be greater than or equal to ${minimum}`;
}

function tooMany(path: string, shown: string, most: number): string {
  return `${path}: Too many: ${shown}: must have at most ${most} items`;
}

/** What the schema helpers report by themselves: a second entry of the same name, or too many entries. */
function custom({ params }: z.core.$ZodIssueCustom, path: string, value: unknown): string {
  const most: unknown = params?.['maxProperties'];
  if (typeof most === 'number') return tooMany(path, String(Object.keys(Object(value)).length), most);
  return `${path}: Duplicate value: ${JSON.stringify(params?.['duplicate'])}`;
}
