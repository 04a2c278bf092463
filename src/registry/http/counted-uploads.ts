import type { Clock } from '../../shared/clock.ts';
import { DistributionError, type UploadStatus } from '../distribution/errors.ts';
import type { ServiceCall } from '../distribution/service-dependencies.ts';
import type { UploadService } from '../distribution/upload-service.ts';
import type { Exchange } from './exchange.ts';
import { type OpenUpload, OpenUploads } from './open-uploads.ts';
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
 * Counts the upload sessions that a client has open on this replica, where they start and around the endpoint that
 * ends them.
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

  /**
   * Starts a session, unless the client has too many.
   *
   * @throws DistributionError TOOMANYREQUESTS, and what `start` throws
   */
  async start(exchange: Exchange, start: () => Promise<UploadStatus>): Promise<UploadStatus> {
    const client = exchange.clientKey;
    if (this.#open.count(client) >= this.#options.maxOpenUploads()) await this.#look(exchange, client);
    this.#reserve(exchange, client);
    try {
      const upload = await start();
      this.#open.started(client, upload, this.#options.clock.monotonic());
      return upload;
    } catch (error) {
      this.#open.failed(client);
      throw error;
    }
  }

  /** The endpoint that ends sessions. */
  ends(endpoint: Endpoint<'upload'>): Endpoint<'upload'> {
    return wrap(endpoint, (handle) => (exchange, target) => this.#use(exchange, target, handle));
  }

  async #use(exchange: Exchange, target: TargetOf<'upload'>, handle: Handler<'upload'>): Promise<void> {
    try {
      await handle(exchange, target);
      if (exchange.method === 'PUT' || exchange.method === 'DELETE') this.#open.ended(target);
    } catch (error) {
      if (mayMeanEnd(error) && this.#open.has(target)) await this.#forgetEnded(target, exchange);
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
    const doubtful = this.#open.doubtful(client, this.#options.clock.monotonic());
    await Promise.all(doubtful.map((upload) => this.#forgetEnded(upload, exchange)));
  }

  async #forgetEnded(upload: OpenUpload, call: ServiceCall): Promise<void> {
    try {
      await this.#options.uploads.status(upload.repository, upload.id, call);
    } catch (error) {
      // A storage that does not answer says nothing of the session.
      if (error instanceof DistributionError && error.status === 404) this.#open.ended(upload);
    }
  }
}

/** Whether the session may be gone after a failure; a digest ends it when it is wrong, and not when it is no digest. */
function mayMeanEnd(error: unknown): boolean {
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
