import { createHash, type Hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

import type { DigestAlgorithm } from './distribution/digest.ts';
import type { HashReply, HashRequest } from './distribution/hash-messages.ts';

/** Hashes on a thread of its own what `distribution/hash-thread.ts` sends. */
const streams = new Map<number, ReadonlyMap<DigestAlgorithm, Hash>>();

function handle(request: HashRequest): void {
  switch (request.kind) {
    case 'update': {
      update(request.stream, request.algorithms, request.bytes);
      reply({ kind: 'updated', stream: request.stream });
      break;
    }
    case 'finish': {
      const hashes = [...(streams.get(request.stream) ?? [])];
      streams.delete(request.stream);
      const digests = hashes.map(([algorithm, hash]) => [algorithm, hash.digest('hex')] as const);
      reply({ kind: 'digests', stream: request.stream, digests });
      break;
    }
    case 'drop': {
      streams.delete(request.stream);
      break;
    }
  }
}

function update(stream: number, algorithms: readonly DigestAlgorithm[], bytes: Uint8Array): void {
  let hashes = streams.get(stream);
  if (hashes === undefined) {
    hashes = new Map(algorithms.map((algorithm) => [algorithm, createHash(algorithm)]));
    streams.set(stream, hashes);
  }
  for (const hash of hashes.values()) hash.update(bytes);
}

function reply(message: HashReply): void {
  parentPort?.postMessage(message, []);
}

parentPort?.on('message', handle);
