import type { Digest } from './digest.ts';

/** Names content and says what it is (OCI image-spec "Content Descriptors"). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Length in bytes. */
  readonly size: number;
}
