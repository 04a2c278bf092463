import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';

import type { ApiServer } from '../servers/api-server.ts';

/** Makes calls of the Kubernetes API; the answer has its status in front: `201 {"kind":…`. */
export type Call = (method: string, path: string, body?: object) => Promise<string>;

/** Calls as the administrator. A PATCH is a JSON merge patch. */
export function callsTo({ url, ca, adminCert: cert, adminKey: key }: ApiServer): Call {
  return async (method, path, body) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = { 'content-type': type };
    const sent = request(`${url}${path}`, { method, ca, cert, key, headers, agent: false });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return `${response.statusCode} ${await text(response)}`;
  };
}

/** Like a {@link Call}, for what has to succeed. @throws Error with the server's words otherwise */
export async function mustCall(call: Call, ...[method, path, body]: Parameters<Call>): Promise<unknown> {
  const answer = await call(method, path, body);
  if (!answer.startsWith('2')) throw new Error(`${method} ${path}: ${answer}`);
  return JSON.parse(answer.slice(4));
}
