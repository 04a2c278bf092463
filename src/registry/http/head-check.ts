import type { IncomingMessage } from 'node:http';

import { DistributionError } from '../distribution/errors.ts';

/**
 * Refuses heads that Node lets through and that a proxy in front may read as something else: another version than
 * HTTP/1, and more than one Host (RFC 9112 §3.2).
 *
 * @throws DistributionError UNSUPPORTED with status 400
 */
export function checkHead({
  httpVersionMajor,
  rawHeaders,
}: Pick<IncomingMessage, 'httpVersionMajor' | 'rawHeaders'>): void {
  if (httpVersionMajor !== 1) throw refusal('this registry speaks HTTP/1.1 only');
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
