/** What a thing may be: an absent one is undefined, a blob or manifest `present`, a tag its digest. */
type State = string | undefined;

export interface Entry {
  readonly kind: 'blob' | 'manifest' | 'tag' | 'referrer';
  readonly repository: string;
  /** Digest or tag; for a referrer the digest of its subject, a space, and its own. */
  readonly name: string;
  /** One when it is certain; several when a request was not answered. */
  readonly possible: ReadonlySet<State>;
  /** What requests wanted that were not answered and had no effect so far, since one was answered. */
  readonly unanswered: ReadonlySet<State>;
}

/** What an entry is about. */
export type Thing = Pick<Entry, 'kind' | 'repository' | 'name'>;

interface OpenEntry extends Thing {
  possible: Set<State>;
  unanswered: Set<State>;
}

/** What the server has acknowledged. */
export class Ledger {
  readonly #entries = new Map<string, OpenEntry>();

  /**
   * Makes a change by a request. Until it is acknowledged, and for ever if it never is, the thing may be what it
   * was or what it would be.
   *
   * @returns whether it was acknowledged
   */
  async change(thing: Thing, state: State, request: () => Promise<boolean>): Promise<boolean> {
    const entry = this.#entry(thing);
    entry.possible.add(state);
    const acknowledged = await request();
    if (acknowledged) {
      entry.possible = new Set([state]);
      entry.unanswered = new Set();
    } else {
      entry.unanswered.add(state);
    }
    return acknowledged;
  }

  /** A request that is about something else may change it, too. */
  doubt(thing: Thing, state: State): void {
    this.#entry(thing).possible.add(state);
  }

  /** The server was asked, and this is what it said. */
  settle(thing: Thing, state: State): void {
    this.#entry(thing).possible = new Set([state]);
  }

  /** What is certainly there. */
  certain(kind: Entry['kind'], repository?: string): readonly Entry[] {
    return this.entries().filter(
      (entry) =>
        entry.kind === kind &&
        (repository === undefined || entry.repository === repository) &&
        !entry.possible.has(undefined),
    );
  }

  entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  #entry(thing: Thing): OpenEntry {
    const key = `${thing.kind} ${thing.repository} ${thing.name}`;
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const { kind, repository, name } = thing;
    const entry = {
      kind,
      repository,
      name,
      possible: new Set<State>([undefined]),
      unanswered: new Set<State>(),
    };
    this.#entries.set(key, entry);
    return entry;
  }
}
