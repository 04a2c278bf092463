import { isIPv6 } from 'node:net';

/**
 * Who a request counts for: the user, or without one the address. A host has a whole /64 of IPv6 addresses, so that
 * these count as one.
 */
export function clientKey(user: string | undefined, address: string): string {
  return user === undefined ? `address:${network(address)}` : `user:${user}`;
}

function network(address: string): string {
  if (!isIPv6(address)) return address;
  const groups = groupsOf(address);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xff_ff;
  if (!mapped) return groups.slice(0, 4).map(hexadecimal).join(':');
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 0xff])
    .join('.');
}

/** The eight groups of 16 bits of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [bare = ''] = address.split('%', 1);
  const [head = '', tail] = bare.split('::', 2);
  const first = parse(head);
  if (tail === undefined) return first;
  const last = parse(tail);
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0);
  return [...first, ...zeros, ...last];
}

function parse(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

function hexadecimal(group: number): string {
  return group.toString(16);
}
