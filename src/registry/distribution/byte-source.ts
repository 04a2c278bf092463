/**
 * Bytes that arrive at the pace of somebody else. The reader brings the memory: nothing is allocated for a chunk, and
 * no promise is made for one.
 */
export interface ByteSource {
  /**
   * Waits for bytes.
   *
   * @returns false at the end, and after {@link close}
   * @throws the failure of the source, when everything before it was taken
   */
  ready(): Promise<boolean>;
  /**
   * Takes bytes until the target is full, or nothing more comes. After it the source does not touch the target.
   *
   * @returns how many there are; fewer than fit before the end, a failure or {@link close}
   */
  fill(target: Uint8Array): Promise<number>;
  /**
   * Stops, also in the middle of a wait, which ends at once. Leaves the connection intact, because an answer is still
   * to be sent. Safe to call again.
   */
  close(): void;
}
