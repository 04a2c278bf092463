import { connect, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';

/** One answer as it came over the wire; names of headers are in lower case. */
export interface RawAnswer {
  readonly status: number;
  /** Status line and headers, as sent. */
  readonly head: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

/** Bytes that are no HTTP/1.1 answer. */
export class AnswerMalformed extends Error {
  override readonly name = 'AnswerMalformed';
}

/** Nothing came in time. */
export class AnswerLate extends Error {
  override readonly name = 'AnswerLate';
}

const HEAD_END = '\r\n\r\n';

/**
 * Reads the answer that `bytes` begin with (RFC 9112 §6.3).
 *
 * @param method of the request: HEAD has no body
 * @param ended true when nothing follows: a body without a length ends there
 * @returns undefined while it is not complete
 * @throws AnswerMalformed
 */
function parseAnswer(
  bytes: Buffer,
  { method, ended }: { readonly method: string; readonly ended: boolean },
): { readonly answer: RawAnswer; readonly rest: Buffer } | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end === -1) return undefined;
  const head = bytes.toString('latin1', 0, end);
  const { status, headers } = parseHead(head);
  const following = bytes.subarray(end + HEAD_END.length);
  const bodiless = method === 'HEAD' || status < 200 || status === 204 || status === 304;
  const body = bodiless ? { data: Buffer.alloc(0), rest: following } : parseBody(following, headers, ended);
  return body && { answer: { status, head, headers, body: body.data }, rest: body.rest };
}

interface Body {
  readonly data: Buffer;
  readonly rest: Buffer;
}

function parseBody(bytes: Buffer, headers: ReadonlyMap<string, string>, ended: boolean): Body | undefined {
  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return parseChunks(bytes);
  const length = headers.get('content-length');
  if (length === undefined) return ended ? { data: bytes, rest: Buffer.alloc(0) } : undefined;
  if (!/^\d+$/.test(length)) throw new AnswerMalformed(`Content-Length: ${length}`);
  if (bytes.length < Number(length)) return undefined;
  return { data: bytes.subarray(0, Number(length)), rest: bytes.subarray(Number(length)) };
}

function parseHead(head: string): { status: number; headers: Map<string, string> } {
  const [first = '', ...lines] = head.split('\r\n');
  const status = /^HTTP\/1\.1 (?<status>\d{3}) [\x20-\x7e]*$/.exec(first)?.groups?.['status'];
  if (status === undefined) throw new AnswerMalformed(first.slice(0, 100));
  const headers = new Map<string, string>();
  for (const line of lines) {
    const groups = /^(?<name>[!#$%&'*+.^_`|~\w-]+):[ \t]*(?<value>[^\r\n\0]*)$/.exec(line)?.groups;
    if (!groups) throw new AnswerMalformed(line.slice(0, 100));
    const name = (groups['name'] ?? '').toLowerCase();
    const value = (groups['value'] ?? '').trim();
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return { status: Number(status), headers };
}

function parseChunks(bytes: Buffer): Body | undefined {
  const parts: Buffer[] = [];
  let position = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', position);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', position, lineEnd), 16);
    if (!Number.isSafeInteger(size)) throw new AnswerMalformed('chunk size');
    const start = lineEnd + 2;
    if (bytes.length < start + size + 2) return undefined;
    if (size === 0) return { data: Buffer.concat(parts), rest: bytes.subarray(start + 2) };
    parts.push(bytes.subarray(start, start + size));
    position = start + size + 2;
  }
}

/** A connection on which a test writes whatever bytes it likes. */
export class RawConnection {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  /** @param localAddress of the client */
  static async open(port: number, host = '127.0.0.1', localAddress?: string): Promise<RawConnection> {
    const from = localAddress === undefined ? {} : { localAddress };
    const socket = connect({ port, host, noDelay: true, allowHalfOpen: true, ...from });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('connect', resolve);
    });
    return new RawConnection(socket);
  }

  /** @param ca PEM of the CA that the server's certificate is by */
  static async openSecure(port: number, ca: string): Promise<RawConnection> {
    const socket = connectTls({ port, host: '127.0.0.1', ca, ALPNProtocols: ['http/1.1'] });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('secureConnect', resolve);
    });
    return new RawConnection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    const ended = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on('data', (data: Buffer) => {
      this.#received = Buffer.concat([this.#received, data]);
      this.#wake();
    });
    socket.on('end', ended).on('close', ended);
    // A reset is an end like any other: a test asks for answers, not for the way a connection went.
    socket.on('error', ended);
  }

  /** True when the server has closed its side. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Bytes that have come and that no answer has taken. */
  get pending(): Buffer {
    return this.#received;
  }

  /** Text is sent as Latin-1, so that a test can write every byte. */
  write(data: string | Uint8Array): void {
    if (this.#socket.writable)
      this.#socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** As {@link write}, and waits until the system has taken the bytes. */
  async send(data: string | Uint8Array): Promise<void> {
    if (!this.#socket.writable) return;
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    await new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()));
  }

  /** Reads nothing from now on, so that what the server sends fills the buffers of the system. */
  pause(): void {
    this.#socket.pause();
  }

  /** Closes the writing side. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends the connection with a reset, as a crashed client does. */
  reset(): void {
    if (this.#socket instanceof TLSSocket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
  }

  /**
   * The next final answer; interim ones (1xx) are skipped.
   *
   * @returns undefined when the connection ended without one
   * @throws AnswerMalformed, AnswerLate
   */
  async answer(method = 'GET', timeoutMs = 20_000): Promise<RawAnswer | undefined> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const parsed = parseAnswer(this.#received, { method, ended: this.#ended });
      if (parsed) this.#received = Buffer.from(parsed.rest);
      if (parsed && parsed.answer.status >= 200) return parsed.answer;
      if (!parsed && this.#ended) return undefined;
      if (!parsed) await this.#more(deadline);
    }
  }

  /** Waits until the server has closed the connection. @throws AnswerLate */
  async closed(timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!this.#ended) await this.#more(deadline);
  }

  /** Waits until something has come that was not there before, or the end. @returns false when nothing came in time */
  async more(timeoutMs: number): Promise<boolean> {
    if (this.#ended) return false;
    try {
      await this.#more(Date.now() + timeoutMs);
      return true;
    } catch {
      return false;
    }
  }

  async #more(deadline: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(
      () =>
        reject(
          new AnswerLate(`nothing came in time; so far: ${this.#received.toString('latin1').slice(0, 200)}`),
        ),
      Math.max(0, deadline - Date.now()),
    );
    try {
      await promise;
    } finally {
      clearTimeout(timer);
    }
  }
}
