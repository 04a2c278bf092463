/**
 * Looks at JSON text before it is parsed, for what `JSON.parse` forgives and other readers see differently.
 */

/** Deepest nesting of a manifest; the formats need five levels. */
const MAX_JSON_DEPTH = 64;

/** What is wrong with the text, for the client; undefined when nothing is. */
export type JsonComplaint = string | undefined;

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/**
 * Refuses nesting beyond {@link MAX_JSON_DEPTH} and members that occur twice in one object: of two `layers`, or of
 * two digests in a descriptor, some clients take the first, some the last. Assumes nothing of the text; malformed
 * JSON is left to the parser.
 */
export function guardJson(text: string): JsonComplaint {
  /** Names of the members so far, of every object that is open; made when there is one. */
  const open: (Set<string> | undefined)[] = [];
  let position = 0;
  while (position < text.length) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) {
      const end = endOfString(text, position);
      const name = memberName(text, position, end);
      if (name !== undefined && open.at(-1)?.has(name) === true)
        return `member ${JSON.stringify(name.slice(0, 64))} occurs twice`;
      if (name !== undefined && open.length > 0) (open[open.length - 1] ??= new Set()).add(name);
      position = end;
      continue;
    }
    if (nesting(code) > 0) open.push(undefined);
    else if (nesting(code) < 0) open.pop();
    if (open.length > MAX_JSON_DEPTH) return `nested deeper than ${MAX_JSON_DEPTH} levels`;
    position++;
  }
  return undefined;
}

/** +1 for an opening bracket, -1 for a closing one, else 0. */
function nesting(code: number): number {
  switch (code) {
    case 0x5b: // [
    case 0x7b: // {
      return 1;
    case 0x5d: // ]
    case 0x7d: // }
      return -1;
    default:
      return 0;
  }
}

/** The four that JSON knows; false at the end of the text, where the code is NaN. */
function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Position after the closing quote. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end + 1;
}

/** An odd number of backslashes before it; there is a quote before those. */
function isEscaped(text: string, position: number): boolean {
  let start = position;
  while (text.charCodeAt(start - 1) === BACKSLASH) start--;
  return (position - start) % 2 === 1;
}

/** The string when a colon follows it, escapes resolved. */
function memberName(text: string, start: number, end: number): string | undefined {
  let next = end;
  while (isSpace(text.charCodeAt(next))) next++;
  if (text.charCodeAt(next) !== COLON) return undefined;
  const plain = text.slice(start + 1, end - 1);
  if (!plain.includes('\\')) return plain;
  try {
    const name: unknown = JSON.parse(text.slice(start, end));
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
