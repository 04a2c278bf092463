/**
 * Looks at JSON text before it is parsed, for what `JSON.parse` forgives and other readers see differently.
 */

/** Deepest nesting of a manifest; the formats need five levels. */
const MAX_JSON_DEPTH = 64;

/** What is wrong with the text, for the client; undefined when nothing is. */
export type JsonComplaint = string | undefined;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Refuses nesting beyond {@link MAX_JSON_DEPTH} and top-level members that occur twice: of two `layers` some
 * clients take the first, some the last. Assumes nothing of the text; malformed JSON is left to the parser.
 */
export function guardJson(text: string): JsonComplaint {
  const names = new Set<string>();
  let depth = 0;
  let position = 0;
  while (position < text.length) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) {
      const end = endOfString(text, position);
      const name = depth === 1 ? memberName(text, position, end) : undefined;
      if (name !== undefined && names.has(name))
        return `member ${JSON.stringify(name.slice(0, 64))} occurs twice`;
      if (name !== undefined) names.add(name);
      position = end;
      continue;
    }
    depth += nesting(code);
    if (depth > MAX_JSON_DEPTH) return `nested deeper than ${MAX_JSON_DEPTH} levels`;
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

/** Position after the closing quote. */
function endOfString(text: string, start: number): number {
  let position = start + 1;
  while (position < text.length) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) return position + 1;
    position += code === BACKSLASH ? 2 : 1;
  }
  return text.length;
}

/** The string when a colon follows it, escapes resolved. */
function memberName(text: string, start: number, end: number): string | undefined {
  let next = end;
  while (next < text.length && /\s/.test(text.charAt(next))) next++;
  if (text.charAt(next) !== ':') return undefined;
  try {
    const name: unknown = JSON.parse(text.slice(start, end));
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}
