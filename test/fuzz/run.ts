import { damagedContent, Ledger } from './ledger.ts';
import { Player } from './player.ts';
import { Random } from './random.ts';
import { encodeRequest } from './request.ts';
import { Results, type Failure } from './results.ts';
import { startTarget, type Target } from './target.ts';
import { Watch, type Vitals } from './watch.ts';

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Clients at the same time. */
  readonly clients: number;
  /** Over TLS and with a user. */
  readonly secured: boolean;
  /** Called every ten seconds. */
  readonly progress?: (results: Results, vitals: Vitals) => void;
}

export interface FuzzReport extends Vitals {
  readonly requests: number;
  readonly seconds: number;
  readonly statuses: ReadonlyMap<number, number>;
  /** Answers 429, 503 and 507. */
  readonly limited: number;
  /** Blobs and manifests that the server has acknowledged, and that were all read again. */
  readonly acknowledged: number;
  readonly failures: readonly Failure[];
}

const PROGRESS_MS = 10_000;

/** Starts a server, sends it random and changed requests for a while, and looks what has become of it. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const target = await startTarget(options.secured);
  const results = new Results();
  const ledger = new Ledger();
  const watch = new Watch(target, results);
  const started = performance.now();
  watch.start();
  const progress = setInterval(() => options.progress?.(results, watch.vitals), PROGRESS_MS);
  try {
    await playAll(options, target, { results, ledger });
    const seconds = (performance.now() - started) / 1000;
    const vitals = await watch.stop();
    results.finish();
    await inspect(target, ledger, results);
    const { requests, statuses, limited, failures } = results;
    return { ...vitals, requests, seconds, statuses, limited, failures, acknowledged: ledger.size };
  } finally {
    clearInterval(progress);
    await watch.stop();
    await target.stop();
  }
}

interface Notes {
  readonly results: Results;
  readonly ledger: Ledger;
}

async function playAll(options: FuzzOptions, target: Target, { results, ledger }: Notes): Promise<void> {
  const end = performance.now() + options.seconds * 1000;
  const random = new Random(options.seed);
  const players = Array.from({ length: options.clients }, () => random.fork()).map((own) => {
    const { authorization } = target;
    return new Player({
      random: own,
      connect: () => target.connect(),
      results,
      ledger,
      ...(authorization === undefined ? {} : { authorization }),
    });
  });
  await Promise.all(players.map((player) => playOn(player, results, end)));
}

/** Until the time is over, or somebody has found something. */
async function playOn(player: Player, results: Results, end: number): Promise<void> {
  try {
    while (performance.now() < end && results.failures.length === 0) await player.play();
  } catch (error) {
    results.failed(
      `a client could not go on: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  } finally {
    player.close();
  }
}

/** Everything that was acknowledged is there, nothing else is damaged, and the log has no error. */
async function inspect(target: Target, ledger: Ledger, results: Results): Promise<void> {
  const connection = await target.connect();
  const headers = [
    ['Host', 'x'] as const,
    ...(target.authorization === undefined ? [] : [['Authorization', target.authorization] as const]),
  ];
  const get = async (path: string) => {
    connection.write(encodeRequest({ method: 'GET', target: path, headers }));
    return connection.answer('GET');
  };
  for (const problem of await ledger.verify(get)) results.failed(problem);
  connection.destroy();
  for (const name of await damagedContent(target.dataFolder)) results.failed(`${name} has other bytes`);
  const errors = target
    .log()
    .split('\n')
    .filter((line) => /"level":"(?:error|fatal)"/.test(line) || /^(?!\{)./.test(line));
  if (errors.length > 0)
    results.failed(`the log has ${errors.length} errors, the first is ${errors[0]?.slice(0, 2000)}`);
}
