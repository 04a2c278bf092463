import type { RegistrySpec } from './registry.ts';

/** What a rule is, and how it is run without a cluster. The rules themselves are in `rules.ts`. */

/** The parts of a Registry that rules speak of. */
export interface RuleSubject {
  readonly metadata: { readonly name: string };
  readonly spec: RegistrySpec;
}

/** `Forbidden` is for what may not change; its message is shown without the value. */
export type RuleReason = 'FieldValueInvalid' | 'FieldValueForbidden';

interface Declaration<Value> {
  readonly cel: string;
  readonly message: string;
  /** Field that the message is about, relative to the rule's place, such as `.size`. */
  readonly fieldPath?: string;
  readonly reason?: RuleReason;
  /** CEL that makes a better message, and the same in TypeScript. */
  readonly messageExpression?: string;
  readonly detail?: (value: Value, old: Value) => string;
  /** The value is a quantity, which has no type of its own. */
  readonly intOrString?: true;
}

/** Compares a value with what it was; runs only on updates. */
export interface TransitionDeclaration<Value> extends Declaration<Value> {
  readonly transition: true;
  readonly holds: (value: Value, old: Value) => boolean;
}

export interface StateDeclaration<Value> extends Declaration<Value> {
  readonly transition?: never;
  readonly holds: (value: Value) => boolean;
}

type RuleDeclaration<Value> = TransitionDeclaration<Value> | StateDeclaration<Value>;

/** A broken rule: where, and what to tell. */
export interface RuleViolation {
  readonly rule: Rule;
  /** Path of the field, such as `spec.tls.dnsNames[1]`. */
  readonly path: string;
  readonly message: string;
  /** Type of the value that the rule judges, as the API server names it; empty for a quantity. */
  readonly shownType: string;
}

export interface Rule {
  /** Place of the rule; `[]` stands for every item and `{}` for every value of a map. */
  readonly path: string;
  readonly cel: string;
  readonly message: string;
  readonly fieldPath?: string;
  readonly reason?: RuleReason;
  readonly messageExpression?: string;
  /** Whether it compares with the former object. */
  readonly transition: boolean;
  /** The violations in `subject`; rules on changes need `old`. */
  readonly check: (subject: RuleSubject, old?: RuleSubject) => RuleViolation[];
}

/** Values at a place of a Registry, by what fills `[]` or `{}` of its path. */
type Select<Value> = (subject: RuleSubject) => readonly (readonly [key: string, value: Value])[];

/** The rules of one place. */
export function rulesAt<Value>(
  path: string,
  select: Select<Value>,
  declarations: readonly RuleDeclaration<Value>[],
): Rule[] {
  return declarations.map((declaration) => {
    const { holds: _holds, detail: _detail, intOrString, transition, ...texts } = declaration;
    const rule: Rule = {
      ...texts,
      path,
      transition: transition ?? false,
      check: (subject, old) => {
        const before = old === undefined ? undefined : select(old);
        return select(subject).flatMap(([key, value]) => {
          const message = judge(declaration, value, before?.find(([oldKey]) => oldKey === key)?.[1]);
          if (message === undefined) return [];
          return [{ rule, path: locate(rule, key), message, shownType: intOrString ? '' : typeof value }];
        });
      },
    };
    return rule;
  });
}

/** The message when the rule is broken. */
function judge<Value>(
  declaration: RuleDeclaration<Value>,
  value: Value,
  old: Value | undefined,
): string | undefined {
  if (!declaration.transition) return declaration.holds(value) ? undefined : declaration.message;
  if (old === undefined || declaration.holds(value, old)) return undefined;
  return declaration.detail?.(value, old) ?? declaration.message;
}

function locate({ path, fieldPath }: Pick<Rule, 'path' | 'fieldPath'>, key: string): string {
  const place = path.replace(/(\[\]|\{\})$/, `[${key}]`);
  return `${place}${fieldPath ?? ''}`.replace(/^\./, '');
}

/** The only value of a place, or none when the field is not set. */
export function one<Value>(value: Value | undefined): [string, Value][] {
  return value === undefined ? [] : [['', value]];
}

/** The items of a list. */
export function items<Value>(values: readonly Value[] | undefined): [string, Value][] {
  return (values ?? []).map((value, index) => [String(index), value]);
}

/** The values of a map. */
export function entries<Value>(map: Readonly<Record<string, Value>> | undefined): [string, Value][] {
  return Object.entries(map ?? {});
}
