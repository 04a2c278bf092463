/** A request in the parts that mutations change. */
export interface FuzzRequest {
  readonly method: string;
  /** Path and query, as they stand in the request line. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body?: Buffer;
  /** How the end of the body is told; default `length`. */
  readonly framing?: 'length' | 'chunked' | 'none';
  /** Sizes of the chunks; the last one is repeated. */
  readonly chunks?: readonly number[];
}

/** The bytes of a request; headers and target go out as Latin-1, so that every byte can be in them. */
export function encodeRequest(request: FuzzRequest): Buffer {
  const { method, target, headers, body = Buffer.alloc(0), framing = 'length' } = request;
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`)];
  if (framing === 'length' && (body.length > 0 || !['GET', 'HEAD'].includes(method))) {
    lines.push(`Content-Length: ${body.length}`);
  }
  if (framing === 'chunked') lines.push('Transfer-Encoding: chunked');
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return Buffer.concat([head, framing === 'chunked' ? encodeChunks(body, request.chunks) : body]);
}

function encodeChunks(body: Buffer, sizes: readonly number[] = [4096]): Buffer {
  const parts: Buffer[] = [];
  let start = 0;
  for (let index = 0; start < body.length; index += 1) {
    const size = Math.max(1, sizes[Math.min(index, sizes.length - 1)] ?? 4096);
    const chunk = body.subarray(start, start + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
    start += size;
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
