import type { ByteRange } from '../storage/driver.ts';

/**
 * Reads a `Range` header for an object of `size` bytes (RFC 9110 §14). Several ranges, and units other than
 * bytes, count as no range: the whole object is an allowed answer to them.
 *
 * @returns undefined for the whole object; `unsatisfiable` when the answer is 416
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange | 'unsatisfiable' | undefined {
  const [, first = '', last = ''] = /^bytes=\s*(\d*)-(\d*)\s*$/i.exec(header ?? '') ?? [];
  if (first === '') return last === '' ? undefined : suffixRange(Number(last), size);
  const start = Number(first);
  const end = last === '' ? Infinity : Number(last);
  return start >= size || end < start ? 'unsatisfiable' : { start, end: Math.min(end, size - 1) };
}

function suffixRange(length: number, size: number): ByteRange | 'unsatisfiable' {
  if (length === 0 || size === 0) return 'unsatisfiable';
  return { start: Math.max(0, size - length), end: size - 1 };
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
