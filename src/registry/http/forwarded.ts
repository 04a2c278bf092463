import type { IncomingHttpHeaders } from 'node:http';
import { type BlockList, isIP, isIPv4, SocketAddress } from 'node:net';

/** Where a request came from, as the proxies in front tell it. */
export interface Origin {
  /** Address of the client: the first one from the right that is no trusted proxy. */
  readonly client: string;
  /** The Host that the client has asked for; undefined when no proxy tells. */
  readonly host: string | undefined;
}

/** More proxies than this in a row are not followed. */
const MAX_HOPS = 32;

/**
 * Reads `Forwarded` (RFC 7239) or `X-Forwarded-For` and `X-Forwarded-Host`, which count only when the connection
 * comes from a trusted proxy.
 *
 * Every proxy adds the address that it was reached from at the end, and clients may put anything before. So the
 * entries are read from the right, each as long as the one who added it is trusted. What cannot be read ends the
 * walk. When both kinds of header name different clients, one of them was passed on unseen by a proxy that knows
 * only the other, and neither counts. The scheme is not asked for: nothing depends on it.
 *
 * @param peer address at the other end of the connection
 */
export function originOf(peer: string, headers: IncomingHttpHeaders, trusted: BlockList): Origin {
  const address = canonicalAddress(peer);
  const said: Said = {
    standard: headers.forwarded,
    addresses: joined(headers['x-forwarded-for']),
    host: joined(headers['x-forwarded-host']),
  };
  const isSaid = Object.values(said).some((header) => header !== undefined);
  const told =
    isSaid && address !== undefined && isTrusted(address, trusted)
      ? follow(address, said, trusted)
      : undefined;
  return told ?? { client: address ?? peer, host: undefined };
}

interface Said {
  readonly standard: string | undefined;
  readonly addresses: string | undefined;
  readonly host: string | undefined;
}

/** @returns undefined when the headers contradict each other */
function follow(peer: string, { standard, addresses, host }: Said, trusted: BlockList): Origin | undefined {
  const byCommon = walk(peer, entries(addresses ?? '', readAddress), trusted);
  const commonHost = hostOf(atHop(host ?? '', byCommon.hops));
  if (standard === undefined) return { client: byCommon.client, host: commonHost };
  const byStandard = walk(peer, entries(standard, readElement), trusted);
  if (addresses !== undefined && byStandard.client !== byCommon.client) return undefined;
  return { client: byStandard.client, host: byStandard.host ?? commonHost };
}

/** What one proxy says of the request that it has passed on. */
interface Hop {
  readonly client?: string | undefined;
  readonly host?: string | undefined;
}

interface Walk extends Origin {
  /** Trusted proxies that were passed, at least one. */
  readonly hops: number;
}

function walk(peer: string, hops: Iterable<Hop>, trusted: BlockList): Walk {
  let client = peer;
  let host: string | undefined;
  let count = 1;
  for (const hop of hops) {
    host = hop.host ?? host;
    if (hop.client === undefined) break;
    ({ client } = hop);
    if (count === MAX_HOPS || !isTrusted(client, trusted)) break;
    count++;
  }
  return { client, host, hops: count };
}

function* entries(header: string, read: (entry: string) => Hop): Generator<Hop> {
  for (const entry of fromRight(header)) yield read(entry);
}

/**
 * The entries of a list, the last one first. Read from the right also as to quotes, so that a quote of the client
 * that never ends cannot swallow what the proxies have added after it.
 */
function* fromRight(list: string): Generator<string> {
  let end = list.length;
  let quoted = false;
  for (let at = end - 1; at >= -1; at--) {
    if (list[at] === '"' && !isEscaped(list, at)) quoted = !quoted;
    if (at >= 0 && (quoted || list[at] !== ',')) continue;
    const entry = list.slice(at + 1, end).trim();
    end = at;
    if (entry !== '') yield entry;
  }
}

function isEscaped(text: string, at: number): boolean {
  let first = at;
  while (text[first - 1] === '\\') first--;
  return (at - first) % 2 === 1;
}

/** The entry that the outermost of so many proxies has added; where each replaces it, there is only one. */
function atHop(list: string, hops: number): string {
  let found = '';
  let count = 0;
  for (const entry of fromRight(list)) {
    found = entry;
    if (++count === hops) break;
  }
  return found;
}

function readAddress(entry: string): Hop {
  return { client: nodeAddress(entry) };
}

const TOKEN = String.raw`[!#$%&'*+.^_\`|~0-9A-Za-z-]+`;
const PAIR = new RegExp(
  String.raw`\s*(?<name>${TOKEN})=(?:(?<token>${TOKEN})|"(?<quoted>(?:[^"\\]|\\.)*)")\s*(?:;|$)`,
  'y',
);

/** One element of `Forwarded`: `for=192.0.2.43;host=example.com`. One that is malformed says nothing. */
function readElement(element: string): Hop {
  const pairs = new Map<string, string>();
  PAIR.lastIndex = 0;
  while (PAIR.lastIndex < element.length) {
    const { name, token, quoted = '' } = PAIR.exec(element)?.groups ?? {};
    if (name === undefined || pairs.has(name.toLowerCase())) return {};
    pairs.set(name.toLowerCase(), token ?? quoted.replaceAll(/\\(.)/g, '$1'));
  }
  return { client: nodeAddress(pairs.get('for') ?? ''), host: hostOf(pairs.get('host') ?? '') };
}

/** An address with or without port; IPv6 may stand in brackets. `unknown` and hidden names are no address. */
function nodeAddress(text: string): string | undefined {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? canonicalAddress(bracketed) : undefined;
  return canonicalAddress(text.replace(/^([\d.]+):\d{1,5}$/, '$1'));
}

/** Long enough for every name with a port. */
const MAX_HOST = 260;

function hostOf(text: string): string | undefined {
  return text.length <= MAX_HOST && /^[\w.[\]:-]+$/.test(text) ? text : undefined;
}

/** One spelling for every address; one of IPv4 that arrived on a socket of IPv6 is one of IPv4. */
function canonicalAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version !== 6) return version === 4 ? text : undefined;
  const { address } = new SocketAddress({ address: text, family: 'ipv6' });
  const mapped = address.replace(/^::ffff:/, '');
  return isIPv4(mapped) ? mapped : address;
}

function isTrusted(address: string, trusted: BlockList): boolean {
  return trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

/** Node joins most repeated headers itself. */
function joined(header: string | string[] | undefined): string | undefined {
  return typeof header === 'object' ? header.join(', ') : header;
}
