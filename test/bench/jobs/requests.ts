import type { KeyKind } from '../certificates.ts';
import type { Job, JobContext, Row } from '../job.ts';
import { runLoad } from '../load-generator.ts';
import type { Scale } from '../scale.ts';
import { REPOSITORIES } from '../seed.ts';
import { COMPARED } from '../subjects.ts';

interface Request {
  readonly id: string;
  readonly title: string;
  readonly method: 'GET' | 'HEAD';
  /** Below the repository's URL. */
  readonly path: (context: JobContext) => string;
}

const BY_TAG: Request['path'] = () => 'manifests/latest';
const BY_DIGEST: Request['path'] = ({ seed }) => `manifests/${seed.digests.small}`;
const BLOB: Request['path'] = ({ seed }) => `blobs/${seed.blobs.small?.[0]?.digest}`;

const MANIFEST_GET: Request = {
  id: 'manifest-get',
  title: 'GET manifest by tag',
  method: 'GET',
  path: BY_TAG,
};
const MANIFEST_HEAD: Request = {
  id: 'manifest-head',
  title: 'HEAD manifest by tag',
  method: 'HEAD',
  path: BY_TAG,
};

const REQUESTS: readonly Request[] = [
  MANIFEST_GET,
  MANIFEST_HEAD,
  { id: 'manifest-get-digest', title: 'GET manifest by digest', method: 'GET', path: BY_DIGEST },
  { id: 'manifest-head-digest', title: 'HEAD manifest by digest', method: 'HEAD', path: BY_DIGEST },
  { id: 'blob-head', title: 'HEAD blob', method: 'HEAD', path: BLOB },
  { id: 'blob-get', title: 'GET blob of 4 KiB', method: 'GET', path: BLOB },
];

/** Connections over which https is measured. */
const HTTPS_CONNECTIONS = 64;
/** A slow server is warmed so long, in milliseconds. */
const LONGEST_WARM_MS = 5000;

/** The options of requests that are not measured. @param times how long a request takes in comparison with a short one */
function warmUp({ warmRequests }: Scale, times = 1): string[] {
  return ['-n', String(Math.ceil(warmRequests / times)), '-d', `${LONGEST_WARM_MS}ms`];
}

/** Sends the same request for a while, after some that are not measured. */
export async function measureRequests(
  { measure, wants, scale }: JobContext,
  row: Row,
  { method, url, connections, slow = 1 }: Load,
): Promise<void> {
  if (!wants(row)) return;
  const load = (length: readonly string[]) =>
    runLoad(['requests', '-m', method, '-c', String(connections), ...length, url]);
  await load(warmUp(scale, slow));
  await measure(row, () => load(['-d', `${scale.requestMs}ms`]));
}

interface Load {
  readonly method: string;
  readonly url: string;
  readonly connections: number;
  /** How many times as long as a short request it takes. */
  readonly slow?: number;
}

function requestJob(request: Request): Job {
  const row = (connections: number): Row => ({
    id: `${request.id}-${connections}`,
    title: `http ${request.title}, ${connections} connection${connections === 1 ? '' : 's'}`,
    unit: 'req/s',
    per: 'request',
  });
  return {
    id: request.id,
    rows: ({ connections }) => connections.map((number) => row(number)),
    needs: ['small'],
    subjects: COMPARED,
    root: 'seed',
    stalls: true,
    run: async (context) => {
      const url = `${context.server.url}/v2/${REPOSITORIES.small}/${request.path(context)}`;
      for (const connections of context.scale.connections) {
        await measureRequests(context, row(connections), { method: request.method, url, connections });
      }
    },
  };
}

function httpsJob(request: Request): Job {
  const row: Row = {
    id: `${request.id}-https`,
    title: `https ${request.title}, ${HTTPS_CONNECTIONS} connections`,
    unit: 'req/s',
    per: 'request',
  };
  return {
    id: row.id,
    rows: () => [row],
    needs: ['small'],
    subjects: COMPARED,
    tls: 'ecdsa',
    root: 'seed',
    stalls: true,
    run: async (context) => {
      const url = `${context.server.url}/v2/${REPOSITORIES.small}/${request.path(context)}`;
      await measureRequests(context, row, { method: request.method, url, connections: HTTPS_CONNECTIONS });
    },
  };
}

/** Connections that are opened at once, again and again. */
const HANDSHAKES_AT_ONCE = 16;
/** For one connection in the warm-up there are so many short requests: of Node, the first 1,200 cost up to half more. */
const HANDSHAKE_TIMES = 2;

function handshakeJob(tls: KeyKind): Job {
  const row: Row = {
    id: `tls-${tls}`,
    title: `new TLS connections with a request each, ${tls === 'rsa' ? 'RSA-2048' : 'ECDSA P-256'}`,
    unit: 'req/s',
    per: 'request',
  };
  return {
    id: row.id,
    rows: () => [row],
    needs: ['small'],
    subjects: COMPARED,
    tls,
    root: 'seed',
    stalls: true,
    run: async ({ server, scale, measure }) => {
      const url = `${server.url}/v2/${REPOSITORIES.small}/manifests/latest`;
      const load = (length: readonly string[]) =>
        runLoad(['requests', '-reconnect', '-c', String(HANDSHAKES_AT_ONCE), ...length, url]);
      await load(warmUp(scale, HANDSHAKE_TIMES));
      await measure(row, () => load(['-d', `${scale.requestMs}ms`]));
    },
  };
}

export const REQUEST_JOBS: readonly Job[] = [
  ...REQUESTS.map((request) => requestJob(request)),
  httpsJob(MANIFEST_GET),
  httpsJob(MANIFEST_HEAD),
  handshakeJob('ecdsa'),
  handshakeJob('rsa'),
];
