/** What a request wants to do; every endpoint needs exactly one of these. `ping` is `GET /v2/`. */
export type Action = 'ping' | 'pull' | 'push' | 'delete' | 'catalog';

/** What a client sent; nobody has checked it yet. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** Who asks for credentials to be checked. */
export interface Caller {
  /** Whose requests count together: of a client that nobody has let in yet its address. */
  readonly clientKey: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/** Tells whether credentials are right. Each method of logging in is one of these. */
export interface Authenticator {
  /**
   * Takes the same time for a user that does not exist.
   *
   * @throws TooManyLogins when too many checks are waiting already, and the reason of the signal of the caller
   */
  verify(credentials: Credentials, caller: Caller): Promise<boolean>;
}

/** The answer to the question whether a request may go on. */
export type Outcome =
  | { readonly kind: 'allowed'; readonly user?: string }
  /** 401: the client should send (other) credentials, as `challenge` says. */
  | { readonly kind: 'challenged'; readonly challenge: string; readonly reason: string }
  /** 403: no credentials help. */
  | { readonly kind: 'denied'; readonly reason: string };
