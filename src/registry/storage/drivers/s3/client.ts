import { readFile, stat } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';

import { S3Client } from '@aws-sdk/client-s3';

import { StorageError } from '../../errors.ts';
import { credentialsFromFiles } from './credentials.ts';

/** A pull keeps its connection until the client has everything, so this also bounds the open pulls. */
const MAX_SOCKETS = 512;
const CONNECT_TIMEOUT_MS = 5000;
/** Silence on a connection after which it counts as dead; a server-side copy of a part may be silent for long. */
const SILENCE_TIMEOUT_MS = 120_000;
/** How often the CA bundle is looked at, in milliseconds. */
const BUNDLE_CHECK_MS = 5000;

export interface S3ClientOptions {
  readonly region?: string | undefined;
  /** Unset is AWS. */
  readonly endpoint?: string | undefined;
  /** `Auto` is path style with an endpoint, else virtual-hosted. */
  readonly addressingStyle: 'Auto' | 'Path' | 'VirtualHosted';
  /** Unset uses the default chain of the SDK. */
  readonly credentialsDirectory?: string | undefined;
  /** PEM file that replaces the CAs of the system; read again when it changes. */
  readonly caBundleFile?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface ReloadingClient {
  readonly client: S3Client;
  /** Takes over a changed CA bundle; cheap, meant to be awaited before every request. */
  refresh(): Promise<void>;
}

/** A client as S3 compatible servers of all ages understand it. */
export function createClient(options: S3ClientOptions): ReloadingClient {
  const { endpoint, addressingStyle, credentialsDirectory, now } = options;
  const region = options.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  const httpsAgent = new HttpsAgent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  const client = new S3Client({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: addressingStyle === 'Path' || (addressingStyle === 'Auto' && endpoint !== undefined),
    ...(credentialsDirectory === undefined
      ? {}
      : { credentials: credentialsFromFiles(credentialsDirectory, now) }),
    // Trailing checksums are answered with 411 by older servers; blobs are verified by their digest anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Would cost a round trip and a new connection per large request.
    expectContinueHeader: false,
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      socketTimeout: SILENCE_TIMEOUT_MS,
      httpAgent: new HttpAgent({ keepAlive: true, maxSockets: MAX_SOCKETS }),
      httpsAgent,
      logger: SILENT,
    },
  });
  if (endpoint?.startsWith('http:') !== true) sendUnsignedPayloads(client);
  const { caBundleFile } = options;
  return {
    client,
    refresh: caBundleFile === undefined ? async () => {} : bundleRefresher(httpsAgent, caBundleFile, now),
  };
}

/** The SDK would write to the console. Errors are thrown anyway. */
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** TLS protects the bytes, so that their SHA-256 in the signature only costs time (half a second per GiB). */
function sendUnsignedPayloads(client: S3Client): void {
  client.middlewareStack.add(
    (next) => (args) => {
      const { request } = args;
      if (hasHeaders(request)) request.headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'unsignedPayload' },
  );
}

function hasHeaders(request: unknown): request is { headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request;
}

function bundleRefresher(agent: HttpsAgent, file: string, now: () => number): () => Promise<void> {
  let checked = Number.NEGATIVE_INFINITY;
  let loaded: number | undefined;
  let refreshing: Promise<void> | undefined;

  async function refresh(): Promise<void> {
    try {
      const { mtimeMs } = await stat(file);
      // New connections take it from here: the agent copies its options into each request.
      if (mtimeMs !== loaded) agent.options.ca = await readFile(file, 'utf8');
      loaded = mtimeMs;
      checked = now();
    } catch (error) {
      // A bundle that vanishes while the file is being replaced must not stop a registry that has one.
      if (loaded === undefined) throw unreadable(file, error);
    }
  }

  return async () => {
    if (now() - checked < BUNDLE_CHECK_MS) return;
    refreshing ??= refresh().finally(() => {
      refreshing = undefined;
    });
    await refreshing;
  };
}

function unreadable(file: string, cause: unknown): StorageError {
  return new StorageError('UNAVAILABLE', {
    driver: 's3',
    operation: 'connect',
    message: `the CA bundle ${file} cannot be read`,
    cause,
  });
}
