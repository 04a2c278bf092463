import { Agent, request } from 'node:https';

import type { ApiServer } from '../../servers/api-server.ts';

/** The least client of an API server: JSON in and out, so that tests see what is really answered. */

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  /** Text of the Warning header. */
  readonly warning?: string;
}

export interface Call {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
}

export type ApiClient = ReturnType<typeof createApiClient>;

export function createApiClient(server: Pick<ApiServer, 'url' | 'ca' | 'adminCert' | 'adminKey'>) {
  const { url, ca, adminCert: cert, adminKey: key } = server;
  const agent = new Agent({ keepAlive: true, ca, cert, key });
  return {
    call: (method: string, path: string, call: Call = {}) =>
      send(`${url}${path}`, { agent, method, ...call }),
    close: () => agent.destroy(),
  };
}

function send(
  url: string,
  { agent, method, ...call }: Call & { agent: Agent; method: string },
): Promise<Answer> {
  const headers = {
    accept: call.accept ?? 'application/json',
    'content-type': call.contentType ?? 'application/json',
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { agent, method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { warning } = response.headers;
        resolve({
          status: response.statusCode ?? 0,
          body: bodyOf(text, response.headers['content-type']),
          ...(typeof warning === 'string' ? { warning } : {}),
        });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(call.body === undefined ? undefined : JSON.stringify(call.body));
  });
}

/** Paths that do not exist are answered as plain text. */
function bodyOf(text: string, contentType = ''): Answer['body'] {
  return contentType.startsWith('application/json') ? JSON.parse(text) : { message: text };
}

interface Cause {
  readonly field?: string;
  readonly message: string;
}

/**
 * The problems in a refusal, one sentence each.
 *
 * Left out is what the API server only repeats: a second report about a union, the bounds of the scale
 * subresource (whose field begins with a dot), and the note that rules were not checked.
 */
export function problemsOf({ status, body }: Answer): string[] {
  if (status < 300) return [];
  const message = String(body['message']);
  const strict = /strict decoding error: (.*)$/s.exec(message)?.[1];
  if (strict !== undefined) return strict.split(', ');
  const causes = (body['details'] as { causes?: Cause[] } | undefined)?.causes ?? [];
  if (causes.length === 0) return [message];
  const unions = new Set(
    causes
      .filter((cause) => cause.message.includes('must be of type integer,string'))
      .map(({ field }) => field),
  );
  return causes
    .filter(({ field = '' }) => field !== '<nil>' && !field.startsWith('.'))
    .filter((cause) => !(unions.has(cause.field) && cause.message.includes('must be of type integer:')))
    .map((cause) => `${cause.field}: ${cause.message}`);
}
