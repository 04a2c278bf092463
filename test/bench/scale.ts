/** How much work the benchmark does. */
export interface Scale {
  readonly rounds: number;
  /** The one large blob, in bytes. */
  readonly bigBytes: number;
  /** Each of {@link STREAMS} blobs that are pulled at once, in bytes. */
  readonly streamBytes: number;
  /** Each of {@link STREAMS} blobs that are pushed at once, in bytes. */
  readonly pushStreamBytes: number;
  readonly nodes: number;
  readonly layerBytes: number;
  /** Streams that are open at once in the row about memory. */
  readonly openStreams: number;
  /** Length of one measurement of small requests, in milliseconds. */
  readonly requestMs: number;
  /** Requests that a server gets before it is measured, so that its code is compiled by then. */
  readonly warmRequests: number;
  readonly connections: readonly number[];
  readonly tags: number;
  readonly repositories: number;
  readonly referrers: number;
}

export const STREAMS = 8;
export const LAYERS = 10;
/** Nodes of the fan-out that pull at once. */
export const NODES_AT_ONCE = 20;

const MIB = 1 << 20;

/** What docs/benchmarks.md is made with. */
export const FULL: Scale = {
  rounds: 3,
  bigBytes: 1024 * MIB,
  streamBytes: 128 * MIB,
  pushStreamBytes: 64 * MIB,
  nodes: 100,
  layerBytes: Math.round(7.7 * MIB),
  openStreams: 200,
  requestMs: 2000,
  warmRequests: 4000,
  connections: [1, 16, 64, 256],
  tags: 10_000,
  repositories: 2000,
  referrers: 1000,
};

/** A first look; its numbers are noisy. */
export const QUICK: Scale = {
  ...FULL,
  rounds: 1,
  bigBytes: 256 * MIB,
  streamBytes: 64 * MIB,
  pushStreamBytes: 32 * MIB,
  nodes: 20,
  requestMs: 500,
  connections: [64],
};
