import type { IncomingMessage } from 'node:http';

import { DistributionError } from '../distribution/errors.ts';

type Head = Pick<IncomingMessage, 'headers' | 'httpVersionMajor' | 'httpVersionMinor' | 'rawHeaders'>;

/**
 * Refuses heads that Node lets through and that a proxy in front may read as something else: another version than
 * HTTP/1, more than one Host (RFC 9112 §3.2), and a transfer coding that is not chunked alone, or in HTTP/1.0, which has
 * none (§6.1). Whoever is refused here may see the end of the request at another place, so that the connection must
 * end with the answer.
 *
 * RFC 9112 suggests 501 for other codings, but dashboards and alerts take every 5xx for a failure of the server.
 *
 * @throws DistributionError UNSUPPORTED with status 400
 */
export function checkHead({ headers, httpVersionMajor, httpVersionMinor, rawHeaders }: Head): void {
  if (httpVersionMajor !== 1) throw refusal('this registry speaks HTTP/1.1 only');
  checkHosts(rawHeaders);
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return;
  if (httpVersionMinor === 0) throw refusal('HTTP/1.0 has no Transfer-Encoding');
  if (coding.toLowerCase() !== 'chunked') throw refusal('the only Transfer-Encoding known is chunked');
}

function checkHosts(rawHeaders: readonly string[]): void {
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  if (hosts > 1) throw refusal('the header Host occurs more than once');
}

function refusal(message: string): DistributionError {
  return new DistributionError('UNSUPPORTED', { status: 400, message });
}
