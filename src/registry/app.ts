import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';

import type { Clock } from '../shared/clock.ts';
import type { Logger } from '../shared/logger.ts';
import type { AccessPolicy } from './auth/policy.ts';
import type { BlobService } from './distribution/blob-service.ts';
import type { CatalogService } from './distribution/catalog-service.ts';
import type { ReferrerService } from './distribution/referrer-service.ts';
import type { RepositoryService } from './distribution/repository-service.ts';
import type { TagService } from './distribution/tag-service.ts';
import { CountedUploads } from './http/counted-uploads.ts';
import { sendError } from './http/error-handler.ts';
import { exchangeOf, type Exchange } from './http/exchange.ts';
import { finish } from './http/finished.ts';
import { logAccess } from './http/hooks/access-log.ts';
import { authorize } from './http/hooks/authorize.ts';
import { RequestLimits } from './http/hooks/limits.ts';
import { countEnd, countStart } from './http/hooks/metrics.ts';
import { beginExchange, introduce, matchExchange, refuseUnclearHead } from './http/hooks/request-context.ts';
import type { LargeBodies } from './http/large-bodies.ts';
import { checkNamespace } from './http/namespace.ts';
import {
  createNodeServer,
  type ConnectionLimits,
  type KeyPair,
  type NodeServer,
} from './http/node-server.ts';
import { tellOfRefusedHead } from './http/refused-head.ts';
import type { Endpoints } from './http/router.ts';
import { baseEndpoint } from './http/routes/base.ts';
import { blobEndpoint } from './http/routes/blobs.ts';
import { catalogEndpoint } from './http/routes/catalog.ts';
import { discoverEndpoint } from './http/routes/discover.ts';
import { manifestEndpoint, type ManifestServices } from './http/routes/manifests.ts';
import { referrersEndpoint } from './http/routes/referrers.ts';
import { repositoryEndpoint } from './http/routes/repositories.ts';
import { tagsEndpoint } from './http/routes/tags.ts';
import { uploadEndpoint, uploadsEndpoint, type UploadServices } from './http/routes/uploads.ts';
import type { HttpSettings } from './http/settings.ts';
import type { RegistryMetrics } from './metrics.ts';

/** The operations that the endpoints offer. */
export interface Services extends UploadServices, ManifestServices {
  readonly blobs: Pick<BlobService, 'stat' | 'open' | 'delete' | 'mount'>;
  readonly tags: Pick<TagService, 'list' | 'delete'>;
  readonly referrers: Pick<ReferrerService, 'list'>;
  readonly catalog: Pick<CatalogService, 'list'>;
  readonly repositories: Pick<RepositoryService, 'delete'>;
}

/** What changes while the server runs. */
export interface AppState {
  settings: HttpSettings;
}

export interface AppDependencies {
  readonly services: Services;
  readonly policy: AccessPolicy;
  readonly metrics: RegistryMetrics;
  readonly bodies: LargeBodies;
  readonly logger: Logger;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly newId: () => string;
  readonly state: Readonly<AppState>;
  readonly connectionLimits: ConnectionLimits;
  /** Serves TLS with it; plain HTTP without. */
  readonly keyPair?: KeyPair;
}

export interface App {
  readonly fastify: FastifyInstance;
  /** Does not listen yet. */
  readonly server: NodeServer;
}

/** The registry API as an application that is ready to listen. */
export async function createApp(dependencies: AppDependencies): Promise<App> {
  const { logger, metrics } = dependencies;
  let server: NodeServer | undefined;
  const fastify = Fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    // What comes on an open connection while draining is still answered.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1024 },
    serverFactory: (handler) => {
      server = createNodeServer(handler, {
        ...dependencies,
        onRefusedHead: (head) =>
          tellOfRefusedHead(head, metrics, dependencies.state.settings.requests, logger),
      });
      return server;
    },
    frameworkErrors: (error, request, reply) => {
      const exchange = begin(request, reply, dependencies);
      countStart(exchange, metrics);
      const unclear = problemOf(() => refuseUnclearHead(exchange));
      sendError(exchange, unclear ?? error, logger);
    },
  });
  fastify.decorateRequest('exchange', undefined);
  leaveBodiesUnread(fastify);
  addHooks(fastify, dependencies);
  fastify.all('/v2/*', run);
  fastify.all('/v2', run);
  fastify.setNotFoundHandler(run);
  await fastify.ready();
  if (!server) throw new Error('fastify has not made its server');
  return { fastify, server };
}

function addHooks(fastify: FastifyInstance, dependencies: AppDependencies): void {
  const { clock, logger, metrics, policy, state } = dependencies;
  const endpoints = createEndpoints(dependencies);
  const limits = new RequestLimits({ limits: () => state.settings.limits, clock, metrics });
  const context = { endpoints, settings: () => state.settings };
  fastify.addHook('onRequest', (request, reply, done) => {
    const exchange = begin(request, reply, dependencies);
    const problem = problemOf(() => matchExchange(exchange, context));
    countStart(exchange, metrics);
    done(problem);
  });
  fastify.addHook('onRequest', async (request) => {
    const exchange = exchangeOf(request);
    if (!exchange.match) return;
    await authorize(exchange, exchange.match.action, policy);
    if (exchange.request.url?.includes('ns=')) checkNamespace(exchange, state.settings.hosts);
    const turn = limits.admit(exchange);
    if (turn) await turn;
  });
  fastify.setErrorHandler((error, request) => sendError(exchangeOf(request), error, logger));
}

/** Makes the exchange of a request and sees to it that its end is told to the log and the metrics. */
function begin(request: FastifyRequest, reply: FastifyReply, dependencies: AppDependencies): Exchange {
  const { bodies, clock, logger, metrics, newId, state } = dependencies;
  const exchange = beginExchange(request, reply, {
    newId,
    monotonic: clock.monotonic,
    limits: state.settings.limits,
    bodies,
  });
  introduce(exchange, state.settings);
  exchange.response.once('close', () => {
    const finished = finish(exchange, clock.monotonic());
    countEnd(finished, metrics);
    logAccess(finished, state.settings.requests, logger);
  });
  return exchange;
}

function run(request: FastifyRequest): Promise<void> {
  const exchange = exchangeOf(request);
  return exchange.match?.run(exchange) ?? Promise.resolve();
}

function problemOf(step: () => void): Error | undefined {
  try {
    step();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function createEndpoints({ services, clock, state }: AppDependencies): Endpoints {
  const counted = new CountedUploads({
    maxOpenUploads: () => state.settings.limits.perClient.maxOpenUploads,
    uploads: services.uploads,
    clock,
  });
  return {
    base: baseEndpoint(),
    catalog: catalogEndpoint(services.catalog),
    blob: blobEndpoint(services.blobs),
    uploads: uploadsEndpoint(services, counted),
    upload: counted.ends(uploadEndpoint(services)),
    manifest: manifestEndpoint(services, () => state.settings),
    tags: tagsEndpoint(services.tags),
    discover: discoverEndpoint(() => state.settings.deleteEnabled),
    referrers: referrersEndpoint(services.referrers),
    repository: repositoryEndpoint(services.repositories),
  };
}

/** Routes read bodies from the socket as they arrive; fastify must neither parse nor limit them. */
function leaveBodiesUnread(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', (_request, _payload, done) => {
    done(null);
  });
}
