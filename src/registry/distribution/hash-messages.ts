import type { DigestAlgorithm } from './digest.ts';

/** What the pool tells a hash thread. Messages of one stream arrive in order. */
export type HashRequest =
  | {
      readonly kind: 'update';
      readonly stream: number;
      /** Of the stream; the first message decides. */
      readonly algorithms: readonly DigestAlgorithm[];
      /** Left alone by the sender until the reply. */
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'finish' | 'drop'; readonly stream: number };

/** What a hash thread answers: one `updated` per `update`, and one `digests` per `finish`, in order. */
export type HashReply =
  | { readonly kind: 'updated'; readonly stream: number }
  | {
      readonly kind: 'digests';
      readonly stream: number;
      /** Algorithm and lower-case hexadecimal digest. */
      readonly digests: readonly (readonly [DigestAlgorithm, string])[];
    };
