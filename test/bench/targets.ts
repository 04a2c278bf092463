/** What a target is about: the row's value, its 99th percentile, or its cost in processor time. */
export type Quantity = 'value' | 'p99' | 'cpu';

/**
 * A bound of one row. `ratio`: ours divided by distribution 3's in the same run. `absolute`: in the row's unit on the
 * machine where the targets were set, and scaled on others by what distribution 3 needs there.
 */
export interface Target {
  readonly row: string;
  readonly quantity: Quantity;
  readonly kind: 'ratio' | 'absolute';
  /** Whether the bound is the least or the most that is allowed. */
  readonly bound: 'least' | 'most';
  /** Must hold. */
  readonly atLeast: number;
  /** Is what the project is after. */
  readonly aim: number;
  /** The row by which distribution 3 shows how fast the machine is, and its figure where the targets were set. */
  readonly scale?: { readonly row: string; readonly figure: number };
}

/** Longest stall of our event loop in any row, in milliseconds. */
export const LONGEST_STALL_MS = 50;

/** How many times the processes on one port should serve what one serves, by whether there are processors for them. */
export const PROCESSES_GAIN = { spare: 1.3, busy: 0.95 } as const;
/** Processors from which on the load generator leaves two to the server. */
export const SPARE_PROCESSORS = 4;

const least = (row: string, atLeast: number, aim: number): Target => ({
  row,
  quantity: 'value',
  kind: 'ratio',
  bound: 'least',
  atLeast,
  aim,
});

const most = (row: string, quantity: Quantity, atLeast: number, aim: number): Target => ({
  row,
  quantity,
  kind: 'ratio',
  bound: 'most',
  atLeast,
  aim,
});

const within = (row: string, atLeast: number, aim: number, scale?: Target['scale']): Target => ({
  row,
  quantity: 'value',
  kind: 'absolute',
  bound: 'most',
  atLeast,
  aim,
  ...(scale === undefined ? {} : { scale }),
});

/** Small requests whose p99 has a target. */
const SMALL = [
  'manifest-get',
  'manifest-head',
  'manifest-get-digest',
  'manifest-head-digest',
  'blob-head',
  'blob-get',
];
const TAGS = { row: 'tags-first', figure: 9.8 };

/** Doubled content changes a warm page by less than a fifth. */
const FLAT = 1.2;

export const TARGETS: readonly Target[] = [
  least('pull-http', 1.4, 1.6),
  least('pull-streams-http', 1.4, 1.6),
  least('fanout-http', 1.7, 2),
  least('pull-https', 1, 1.2),
  least('pull-streams-https', 1.1, 1.3),
  least('fanout-https', 1.05, 1.35),
  least('sink-https', 1.5, 2),
  most('pull-http', 'cpu', 0.9, 0.7),
  most('pull-https', 'cpu', 0.9, 0.7),
  most('pull-streams-https', 'cpu', 1, 0.8),
  least('push-put-http', 1.3, 1.6),
  least('push-put-https', 1.1, 1.3),
  least('push-patch-http', 1.2, 1.5),
  least('push-put-streams-http', 0.7, 1.1),
  least('push-patch-streams-http', 0.7, 1.1),
  least('push-put-streams-https', 0.7, 1),
  least('push-patch-streams-https', 0.7, 1),
  least('manifest-get-64', 5.5, 8),
  least('manifest-head-64', 5.5, 8),
  least('manifest-get-https', 3.5, 6),
  least('manifest-head-https', 3.5, 6),
  least('blob-head-64', 4, 5),
  least('blob-get-64', 10, 18),
  least('tls-ecdsa', 0.9, 1.2),
  least('tls-rsa', 1.1, 1.3),
  ...SMALL.map((row) => most(`${row}-64`, 'p99', 0.5, 0.2)),
  most('manifest-get-https', 'p99', 0.5, 0.2),
  most('manifest-head-https', 'p99', 0.5, 0.2),
  within('tags-first', 1.5, 0.5, TAGS),
  within('tags-middle', 1.5, 0.5, TAGS),
  within('tags-last', 1.5, 0.5, { row: 'tags-last', figure: 6.7 }),
  within('catalog-first', 1.5, 0.5, { row: 'catalog-first', figure: 3.6 }),
  within('catalog-middle', 1.5, 0.5, { row: 'catalog-first', figure: 3.6 }),
  within('catalog-last', 1.5, 0.5, { row: 'catalog-last', figure: 2.5 }),
  // distribution has no such API: its page of tags tells how fast the machine is.
  within('referrers', 5, 2, TAGS),
  within('start', 150, 90, { row: 'start', figure: 33 }),
  within('idle', 80, 70, { row: 'idle', figure: 43 }),
  // What streams take of memory has nothing to do with how fast the machine is.
  within('open-streams', 200, 130),
  { ...within('flat-manifest', 0.8, 0.95), bound: 'least' },
  within('flat-tags', FLAT, 1.05),
  within('flat-catalog', FLAT, 1.05),
  within('flat-referrers', FLAT, 1.05),
];
