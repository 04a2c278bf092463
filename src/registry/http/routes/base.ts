import { respond } from '../respond.ts';
import type { Endpoint, Route } from '../router.ts';

/** `/v2/`: tells that this is a registry, and asks for credentials where they are needed (end-1). */
export function baseEndpoint(): Endpoint<'base'> {
  const route: Route<'base'> = {
    action: 'ping',
    handle: async (exchange) => respond(exchange, { status: 200, body: {} }),
  };
  return new Map([
    ['GET', route],
    ['HEAD', route],
  ]);
}
