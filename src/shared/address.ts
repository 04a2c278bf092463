/** Where a server listens, or what a client connects to. */
export interface Address {
  /** A name or an IP address, IPv6 without brackets; empty means every interface. */
  readonly host: string;
  readonly port: number;
}

const ADDRESS = /^(?:\[(?<v6>[0-9a-fA-F:.]+)\]|(?<host>[^:[\]]*)):(?<port>\d{1,5})$/;

/**
 * Reads `host:port`; an IPv6 address stands in brackets.
 *
 * @throws TypeError when the text is not an address or the port is above 65535
 */
export function parseAddress(text: string): Address {
  const groups = ADDRESS.exec(text)?.groups;
  const port = Number(groups?.['port']);
  if (!groups || port > 65_535) throw new TypeError(`"${text}" is not HOST:PORT, such as 0.0.0.0:5000`);
  return { host: groups['v6'] ?? groups['host'] ?? '', port };
}

/** The reverse of {@link parseAddress}. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for an address that only this host can reach. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase();
  return name === 'localhost' || name === '::1' || /^127(\.\d{1,3}){3}$/.test(name);
}
