import type { DigestAlgorithm } from './digest.ts';

/** What the pool tells a hash thread. Messages of one stream arrive in order. */
export type HashRequest =
  | {
      readonly kind: 'update';
      readonly stream: number;
      /** Of the stream; the first message decides. */
      readonly algorithms: readonly DigestAlgorithm[];
      /** Transferred, and given back by a `buffer` reply. */
      readonly buffer: ArrayBuffer;
      /** Bytes of it that belong to the stream. */
      readonly length: number;
    }
  | { readonly kind: 'finish' | 'drop'; readonly stream: number };

/** What a hash thread answers: one `buffer` per `update`, and one `digests` per `finish`. */
export type HashReply =
  | { readonly kind: 'buffer'; readonly stream: number; readonly buffer: ArrayBuffer }
  | {
      readonly kind: 'digests';
      readonly stream: number;
      /** Algorithm and lower-case hexadecimal digest. */
      readonly digests: readonly (readonly [DigestAlgorithm, string])[];
    };
