import type { Clock } from '../../shared/clock.ts';
import { DistributionError } from '../distribution/errors.ts';
import type { UploadService } from '../distribution/upload-service.ts';
import { clientKey } from './client-key.ts';
import type { Exchange } from './exchange.ts';
import { OpenUploads } from './open-uploads.ts';
import type { TargetKind, TargetOf } from './path.ts';
import { tooManyRequests } from './refusal.ts';
import type { Endpoint, Handler, Route } from './router.ts';

export interface CountedUploadsOptions {
  /** Sessions that a client may have open, as it is now. */
  readonly maxOpenUploads: () => number;
  readonly uploads: Pick<UploadService, 'status'>;
  readonly clock: Pick<Clock, 'monotonic'>;
}

/** What a client with too many sessions is asked to wait, in seconds. */
const RETRY_AFTER = 10;

/**
 * Counts the upload sessions that a client has open on this replica, around the endpoints that start and end them.
 *
 * Other replicas end sessions, too, and so does the purge. So a client that seems to have too many is believed to only
 * after a look at those that it has not used for longest.
 */
export class CountedUploads {
  readonly #options: CountedUploadsOptions;
  readonly #open = new OpenUploads();

  constructor(options: CountedUploadsOptions) {
    this.#options = options;
  }

  /** The endpoint that starts sessions; refuses to when the client has too many. */
  starts(endpoint: Endpoint<'uploads'>): Endpoint<'uploads'> {
    return wrap(
      endpoint,
      (handle) => (exchange, target) => this.#start(exchange, () => handle(exchange, target)),
    );
  }

  /** The endpoint that ends sessions. */
  ends(endpoint: Endpoint<'upload'>): Endpoint<'upload'> {
    return wrap(endpoint, (handle) => (exchange, target) => this.#use(exchange, target, handle));
  }

  async #start(exchange: Exchange, handle: () => Promise<void>): Promise<void> {
    const client = clientKey(exchange.user, exchange.clientAddress);
    if (this.#open.count(client) >= this.#options.maxOpenUploads()) await this.#look(exchange, client);
    this.#reserve(exchange, client);
    try {
      await handle();
    } finally {
      const { startedUpload } = exchange;
      if (startedUpload) this.#open.started(client, startedUpload, this.#options.clock.monotonic());
      else this.#open.failed(client);
    }
  }

  async #use(exchange: Exchange, target: TargetOf<'upload'>, handle: Handler<'upload'>): Promise<void> {
    try {
      await handle(exchange, target);
      if (exchange.method === 'PUT' || exchange.method === 'DELETE') this.#open.ended(target.id);
    } catch (error) {
      if (isGone(error)) this.#open.ended(target.id);
      throw error;
    }
  }

  /**
   * Counts a session before anybody else can be counted: requests whose password was checked together go on together.
   *
   * @throws DistributionError TOOMANYREQUESTS
   */
  #reserve(exchange: Exchange, client: string): void {
    const max = this.#options.maxOpenUploads();
    if (this.#open.count(client) < max) return this.#open.starting(client);
    throw tooManyRequests(exchange, {
      refusal: 'client_uploads',
      message: `a client may have ${max} uploads open at once (limits.perClient.maxOpenUploads)`,
      retryAfter: RETRY_AFTER,
    });
  }

  /** Forgets sessions that are not there any more. */
  async #look(exchange: Exchange, client: string): Promise<void> {
    const { uploads, clock } = this.#options;
    const doubtful = this.#open.doubtful(client, clock.monotonic());
    await Promise.all(
      doubtful.map(async ({ repository, id }) => {
        try {
          await uploads.status(repository, id, exchange);
        } catch (error) {
          // A storage that does not answer says nothing of the session.
          if (isGone(error)) this.#open.ended(id);
        }
      }),
    );
  }
}

/** Whether a failure means that there is no session (any more): a wrong digest ends it. */
function isGone(error: unknown): boolean {
  return error instanceof DistributionError && (error.status === 404 || error.code === 'DIGEST_INVALID');
}

function wrap<K extends TargetKind>(
  endpoint: Endpoint<K>,
  around: (handle: Handler<K>) => Handler<K>,
): Endpoint<K> {
  const routes = [...endpoint].map(([method, route]): [string, Route<K>] => [
    method,
    { action: route.action, handle: around(route.handle) },
  ]);
  return new Map(routes);
}
