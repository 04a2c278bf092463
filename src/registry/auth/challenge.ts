import type { Credentials } from './types.ts';

/** Longest `Authorization` value that is looked at, in characters. */
const MAX_LENGTH = 8192;

/**
 * Reads the value of an `Authorization` header of the scheme Basic (RFC 7617), in UTF-8. The password may
 * contain colons; the user name may not.
 *
 * @returns undefined for another scheme and for anything malformed
 */
export function parseBasic(header: string): Credentials | undefined {
  if (header.length > MAX_LENGTH) return undefined;
  const token = /^basic +(?<token>[A-Za-z0-9+/_-]+={0,2}) *$/i.exec(header)?.groups?.['token'];
  if (token === undefined) return undefined;
  const text = Buffer.from(token, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Podman and skopeo answer a challenge with an empty user and password when they have no others. */
export function isEmptyBasic(header: string): boolean {
  return /^basic +Og== *$/i.test(header);
}

/** The value of `WWW-Authenticate` that asks for a user name and a password. */
export function basicChallenge(realm: string): string {
  const printable = realm.replaceAll(/[^\u0020-\u007e]/g, '');
  return `Basic realm="${printable.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
