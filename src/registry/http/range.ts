import type { ByteRange } from '../storage/driver.ts';

/** A request for more ranges than this is answered with the whole object. */
const MAX_RANGES = 16;

/**
 * Reads a `Range` header for an object of `size` bytes (RFC 9110 §14.1.2, §14.2).
 *
 * Ranges that overlap or touch become one, which takes the place of the first of them: no byte is sent twice,
 * whatever is asked for. Those that lie outside of the object are left out. Units other than bytes, a header that
 * cannot be read and more than 16 ranges count as no range, for which the whole object is an allowed answer.
 *
 * @returns at least one range; undefined for the whole object; `unsatisfiable` when the answer is 416
 */
export function parseRanges(
  header: string | undefined,
  size: number,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  const pieces = /^bytes=(.*)$/i.exec(header ?? '')?.[1]?.split(',', MAX_PIECES + 1) ?? [];
  // Empty pieces do not count (RFC 9110 §5.6.1.2), but no more than a reasonable number of them is taken.
  const members = pieces.filter((piece) => piece.trim() !== '');
  const isTooLong = members.length > MAX_RANGES || pieces.length > MAX_PIECES;
  if (members.length === 0 || isTooLong) return undefined;
  const ranges = members.map((member) => parseMember(member, size));
  if (ranges.includes('invalid')) return undefined;
  const inside = ranges.filter((range) => typeof range === 'object');
  return inside.length === 0 ? 'unsatisfiable' : coalesce(inside);
}

/** Pieces between commas, empty ones as well. */
const MAX_PIECES = 2 * MAX_RANGES;

/** `<first>-<last>`, `<first>-` or `-<length of the end>`. */
function parseMember(member: string, size: number): ByteRange | 'outside' | 'invalid' {
  const [, first = '', last = ''] = /^[ \t]*(\d*)-(\d*)[ \t]*$/.exec(member) ?? [];
  if (first === '') return last === '' ? 'invalid' : suffixRange(Number(last), size);
  const start = Number(first);
  const end = last === '' ? Infinity : Number(last);
  return start >= size || end < start ? 'outside' : { start, end: Math.min(end, size - 1) };
}

function suffixRange(length: number, size: number): ByteRange | 'outside' {
  if (length === 0 || size === 0) return 'outside';
  return { start: Math.max(0, size - length), end: size - 1 };
}

function coalesce(ranges: readonly ByteRange[]): ByteRange[] {
  const byStart = ranges.map((range, order) => ({ ...range, order })).toSorted((a, b) => a.start - b.start);
  const merged: typeof byStart = [];
  for (const range of byStart) {
    const last = merged.at(-1);
    if (last === undefined || range.start > last.end + 1) {
      merged.push(range);
      continue;
    }
    last.end = Math.max(last.end, range.end);
    last.order = Math.min(last.order, range.order);
  }
  return merged.toSorted((a, b) => a.order - b.order).map(({ start, end }) => ({ start, end }));
}

/** The chunk that an upload request says it carries; both ends inclusive. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Reads the `Content-Range` of an upload: `<start>-<end>` (OCI dist-spec, "Pushing a blob in chunks"). The form
 * of RFC 9110, `bytes <start>-<end>/<total or *>`, is taken as well.
 *
 * @returns undefined without the header; `invalid` when it cannot be read
 */
export function parseContentRange(header: string | undefined): ChunkRange | 'invalid' | undefined {
  if (header === undefined) return undefined;
  const groups = /^(?:bytes\s+)?(?<start>\d+)-(?<end>\d+)(?:\/(?:\d+|\*))?$/i.exec(header.trim())?.groups;
  const start = Number(groups?.['start']);
  const end = Number(groups?.['end']);
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || end < start) return 'invalid';
  return { start, end };
}
