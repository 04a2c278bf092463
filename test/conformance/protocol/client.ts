import { Agent as HttpAgent, type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { buffer } from 'node:stream/consumers';

/** One request, as it goes over the wire. */
export interface Call {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Sent with its Content-Length. */
  readonly body?: Uint8Array | string;
  /** Sent with `Transfer-Encoding: chunked`, each as one chunk, in place of `body`. */
  readonly chunks?: readonly Uint8Array[];
  /** `user:password` in place of the client's own; null sends none. */
  readonly user?: string | null;
}

/** What came back. */
export interface Answer {
  /** Where the request went; relative references of the answer start here. */
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** How a registry is reached. */
export interface Connection {
  readonly url: string;
  /** PEM of the CA that its certificate comes from. */
  readonly ca?: string;
  /** `user:password` of every request. */
  readonly user?: string;
}

/**
 * A client that sends exactly what a test says and tells everything that came back. It follows no redirect and
 * retries nothing. Connections stay open between requests, as those of real clients do.
 */
export class RegistryClient {
  #connection: Connection | undefined;
  #agent: HttpAgent | HttpsAgent | undefined;
  #repositories = 0;

  connect(connection: Connection): void {
    this.#connection = connection;
    this.#agent = connection.url.startsWith('https:')
      ? new HttpsAgent({ keepAlive: true, ...(connection.ca === undefined ? {} : { ca: connection.ca }) })
      : new HttpAgent({ keepAlive: true });
  }

  close(): void {
    this.#agent?.destroy();
  }

  get connection(): Connection {
    if (this.#connection === undefined) throw new Error('the registry has not started');
    return this.#connection;
  }

  /** The name of a repository that no other test of this client uses. */
  newRepository(label = 'test'): string {
    this.#repositories += 1;
    return `suite/${label}-${this.#repositories}`;
  }

  get(target: string | URL, headers: Call['headers'] = {}): Promise<Answer> {
    return this.send('GET', target, { headers });
  }

  head(target: string | URL, headers: Call['headers'] = {}): Promise<Answer> {
    return this.send('HEAD', target, { headers });
  }

  /** @param target a path, or a URL such as the resolved Location of an answer */
  async send(method: string, target: string | URL, call: Call = {}): Promise<Answer> {
    const url = new URL(target, this.connection.url);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const options = { method, headers: this.#headers(method, call), agent: this.#agent };
    const request = url.protocol === 'https:' ? httpsRequest(url, options) : httpRequest(url, options);
    request.on('error', reject);
    request.on('response', (response) => {
      const { statusCode: status = 0, headers } = response;
      buffer(response).then((body) => resolve({ url, status, headers, body }), reject);
    });
    for (const chunk of call.chunks ?? []) request.write(chunk);
    request.end(call.body);
    return promise;
  }

  #headers(method: string, call: Call): Record<string, string | string[]> {
    const { headers, user = this.connection.user } = call;
    const given = Object.entries(headers ?? {}).map(([name, value]): [string, string | string[]] => [
      name,
      typeof value === 'string' ? value : [...value],
    ]);
    return {
      ...lengthOf(method, call),
      ...(user === undefined || user === null
        ? {}
        : { authorization: `Basic ${Buffer.from(user).toString('base64')}` }),
      ...Object.fromEntries(given),
    };
  }
}

/** GET and HEAD have no body, so that they have no length either. */
function lengthOf(method: string, { body, chunks }: Call): Record<string, string> {
  if (chunks !== undefined) return { 'transfer-encoding': 'chunked' };
  if (body === undefined && (method === 'GET' || method === 'HEAD')) return {};
  return { 'content-length': String(Buffer.byteLength(body ?? '')) };
}

/** One header as text; several of a name are joined by comma. Empty when there is none. */
export function header(answer: Answer, name: string): string {
  const value = answer.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(', ') : (value ?? '');
}

/** Where the Location of an answer leads. */
export function location(answer: Answer): URL {
  const value = header(answer, 'location');
  if (value === '')
    throw new Error(`no Location came with status ${answer.status}: ${answer.body.toString()}`);
  return new URL(value, answer.url);
}

/** The same URL with a query parameter appended, what it already has is kept. */
export function withParameter(url: URL, name: string, value: string): URL {
  const copy = new URL(url);
  copy.searchParams.append(name, value);
  return copy;
}

/** The body of an answer, which is JSON. */
export function json({ body }: Answer): unknown {
  return JSON.parse(body.toString());
}

/** Status and body together, so that a failed comparison shows what the registry says about it. */
export function outcome({ status, body }: Answer): { status: number; body: string } {
  return { status, body: body.toString() };
}

/** The codes of an error answer. */
export function codes(answer: Answer): string[] {
  return (json(answer) as { errors: { code: string }[] }).errors.map(({ code }) => code);
}
