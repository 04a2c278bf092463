/** A server that speaks S3, for one test file. */
export interface S3Server {
  /** URL. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Ends its processes and removes its data. */
  stop(): Promise<void>;
}
