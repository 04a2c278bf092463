const MIB = 1 << 20;
const FIRST_PART_BYTES = 8 * MIB;
/** S3 allows 10,000 parts; the size doubles every 1,000, which is enough for its largest object (5 TiB). */
const PARTS_PER_SIZE = 1000;

/** One part of an upload: its bytes are decided by its number alone, so that every writer cuts at the same places. */
export interface PartPlace {
  /** From 1. */
  readonly number: number;
  /** Offset of its first byte. */
  readonly start: number;
  readonly size: number;
}

/** The part with this number. */
export function partAt(number: number): PartPlace {
  const doublings = Math.floor((number - 1) / PARTS_PER_SIZE);
  const size = FIRST_PART_BYTES * 2 ** doublings;
  const before = PARTS_PER_SIZE * FIRST_PART_BYTES * (2 ** doublings - 1);
  return { number, start: before + ((number - 1) % PARTS_PER_SIZE) * size, size };
}
