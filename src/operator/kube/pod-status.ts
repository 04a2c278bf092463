import { isRecord, parseObject } from './answer.ts';

/** A pod whose registry server is asked. */
export interface PodAddress {
  readonly name: string;
  /** IPv4 or IPv6, without brackets. */
  readonly ip: string;
}

/** What a registry server says of itself (`/readyz?verbose`). */
export interface PodReport {
  readonly status: 'ready' | 'draining' | 'unready';
  /** Hash of the configuration and the reloaded files that it has loaded. */
  readonly loadedHash: string;
  readonly version: string;
  readonly certificate?: { readonly sha256Fingerprint: string; readonly notAfter: string } | undefined;
}

export interface PodStatusOptions {
  readonly fetch: typeof globalThis.fetch;
  readonly signal: AbortSignal;
  /** Milliseconds for one pod; 2 s when unset. */
  readonly timeoutMs?: number;
  /** Pods that are asked at a time; 8 when unset. */
  readonly concurrency?: number;
  /** Port of the ops server; 9090 when unset. */
  readonly port?: number;
}

const MAX_BYTES = 64 * 1024;

/**
 * Asks pods what they have loaded. A pod that does not answer in time, or with something else, has no report; that
 * is no error, because pods come and go.
 *
 * @returns reports by the name of the pod
 * @throws the reason of the signal when it is aborted
 */
export async function readPodStatus(
  pods: readonly PodAddress[],
  options: PodStatusOptions,
): Promise<ReadonlyMap<string, PodReport>> {
  const reports = new Map<string, PodReport>();
  const queue = [...pods];
  const worker = async (): Promise<void> => {
    for (let pod = queue.shift(); pod; pod = queue.shift()) {
      const report = await readOne(pod, options);
      if (report) reports.set(pod.name, report);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.concurrency ?? 8, pods.length) }, worker));
  options.signal.throwIfAborted();
  return reports;
}

async function readOne(pod: PodAddress, options: PodStatusOptions): Promise<PodReport | undefined> {
  const host = pod.ip.includes(':') ? `[${pod.ip}]` : pod.ip;
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs ?? 2000)]);
  try {
    const url = `http://${host}:${options.port ?? 9090}/readyz?verbose`;
    // A redirect would send the operator wherever a compromised pod likes.
    const response = await options.fetch(url, { signal, redirect: 'error' });
    return parseReport(await limitedText(response));
  } catch {
    return undefined;
  }
}

async function limitedText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new RangeError('the answer is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseReport(text: string): PodReport | undefined {
  const { status, loadedHash, version, certificate } = parseObject(text) ?? {};
  if (status !== 'ready' && status !== 'draining' && status !== 'unready') return undefined;
  if (typeof loadedHash !== 'string' || typeof version !== 'string') return undefined;
  const shown = parseCertificate(certificate);
  return { status, loadedHash, version, ...(shown ? { certificate: shown } : {}) };
}

function parseCertificate(value: unknown): PodReport['certificate'] {
  if (!isRecord(value)) return undefined;
  const { sha256Fingerprint, notAfter } = value;
  if (typeof sha256Fingerprint !== 'string' || typeof notAfter !== 'string') return undefined;
  return { sha256Fingerprint, notAfter };
}
