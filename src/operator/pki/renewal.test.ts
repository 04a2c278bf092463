import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { checkServerIdentity, connect, createServer, type PeerCertificate } from 'node:tls';

import { describe, expect, it } from 'vitest';

import { createAuthority } from './authority.ts';
import { issueCertificate } from './certificate.ts';
import { inspectCertificate, isSignedByOneOf, sameNames, unexpired } from './inspect.ts';
import { DAY_MS, serialNumber, splitCertificates } from './pem.ts';
import { type EnsuredCertificates, ensureCertificates, type StoredCertificates } from './renewal.ts';

const START = new Date('2026-01-01T00:00:00Z');
const SUBJECT = { commonName: 'registry', names: ['registry.default.svc', 'localhost', '10.96.0.7', '::1'] };

function at(days: number) {
  return { now: new Date(START.getTime() + days * DAY_MS), randomBytes };
}

function stored(made: EnsuredCertificates): StoredCertificates {
  return { authority: made.authority, caBundle: made.caBundle, leaf: made.leaf };
}

describe('certificates', () => {
  it('says who it is for, for how long and by whom', async () => {
    const authority = await createAuthority('registry CA', at(0));

    const leaf = await issueCertificate(authority, SUBJECT, at(0));

    const info = inspectCertificate(leaf.certificate, leaf.key);
    expect(info?.names.toSorted()).toEqual(SUBJECT.names.toSorted());
    expect(info?.keyMatches).toBe(true);
    expect(info?.notAfter).toEqual(at(90).now);
    expect(info?.notBefore.getTime()).toBe(START.getTime() - 300_000);
    expect(info?.sha256Fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(isSignedByOneOf(leaf.certificate, authority.certificate, at(0).now)).toBe(true);
    const parsed = new X509Certificate(leaf.certificate);
    expect(parsed.ca).toBe(false);
    expect(parsed.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(parsed.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    const ca = new X509Certificate(authority.certificate);
    expect(ca.ca).toBe(true);
    expect(ca.validToDate).toEqual(at(3650).now);
    expect(createPrivateKey(authority.key).asymmetricKeyType).toBe('ec');
  });

  it('never outlives its CA', async () => {
    const authority = await createAuthority('registry CA', at(0));

    const leaf = await issueCertificate(authority, SUBJECT, at(3600));

    expect(inspectCertificate(leaf.certificate, leaf.key)?.notAfter).toEqual(at(3650).now);
  });

  it('is accepted by a TLS client that trusts the CA, by name and by address', async () => {
    const made = await ensureCertificates({}, SUBJECT, { now: new Date(), randomBytes });
    const server = createServer({ cert: made.leaf.certificate, key: made.leaf.key }, (socket) =>
      socket.end(),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');

    const results = await Promise.all(
      ['registry.default.svc', '10.96.0.7', 'elsewhere'].map((host) =>
        handshake(address.port, host, made.caBundle),
      ),
    );

    server.close();
    expect(results).toEqual([undefined, undefined, 'ERR_TLS_CERT_ALTNAME_INVALID']);
  });

  it.each([
    ['zeros', new Uint8Array(16)],
    ['ones', new Uint8Array(16).fill(255)],
  ])('makes a positive serial number of 16 bytes from %s', (_, bytes) => {
    const serial = serialNumber(() => bytes);

    expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/);
  });
});

describe('inspectCertificate', () => {
  it.each([
    ['nothing', ''],
    ['text', 'hello'],
    ['a broken certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'],
  ])('is undefined for %s', (_, pem) => {
    expect(inspectCertificate(pem, '')).toBeUndefined();
  });

  it('sees that a key belongs to another certificate or is none', async () => {
    const one = await ensureCertificates({}, SUBJECT, at(0));
    const other = await ensureCertificates({}, SUBJECT, at(0));

    expect(inspectCertificate(one.leaf.certificate, other.leaf.key)?.keyMatches).toBe(false);
    expect(inspectCertificate(one.leaf.certificate, 'none')?.keyMatches).toBe(false);
    expect(isSignedByOneOf(one.leaf.certificate, other.caBundle, START)).toBe(false);
  });

  it.each([
    [['a', 'b'], ['b', 'a'], true],
    [['a'], ['a', 'b'], false],
    [['FD00:0:0::1'], ['fd00::1'], true],
    [['A.example'], ['a.example'], true],
  ])('compares names %j and %j', (a, b, expected) => {
    expect(sameNames(a, b)).toBe(expected);
  });
});

describe('ensureCertificates', () => {
  it('makes a CA and a leaf when nothing is stored', async () => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    expect(made.changed).toEqual({ authority: true, leaf: true });
    expect(made.caBundle).toBe(made.authority.certificate);
    expect(made.renewalTime).toEqual(at(60).now);
  });

  it.each([0, 59])('keeps everything on day %i', async (day) => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    const again = await ensureCertificates(stored(made), SUBJECT, at(day));

    expect(again).toEqual({ ...made, changed: { authority: false, leaf: false } });
  });

  it('replaces only the leaf thirty days before its end', async () => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    const again = await ensureCertificates(stored(made), SUBJECT, at(60));

    expect(again.changed).toEqual({ authority: false, leaf: true });
    expect(again.renewalTime).toEqual(at(120).now);
  });

  it.each([
    ['other names', { ...SUBJECT, names: [...SUBJECT.names, 'registry.example.com'] }],
    ['fewer names', { ...SUBJECT, names: SUBJECT.names.slice(1) }],
    ['another cluster address', { ...SUBJECT, names: [...SUBJECT.names.slice(0, 2), '10.96.0.8', '::1'] }],
  ])('replaces only the leaf for %s', async (_, subject) => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    const again = await ensureCertificates(stored(made), subject, at(1));

    expect(again.changed).toEqual({ authority: false, leaf: true });
    expect(sameNames(inspectCertificate(again.leaf.certificate, '')?.names ?? [], subject.names)).toBe(true);
  });

  it('replaces CA and leaf when the CA was lost', async () => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    const again = await ensureCertificates({ leaf: made.leaf }, SUBJECT, at(1));

    expect(again.changed).toEqual({ authority: true, leaf: true });
  });

  it('replaces a leaf whose key was exchanged, and a CA whose key was', async () => {
    const made = await ensureCertificates({}, SUBJECT, at(0));
    const other = await ensureCertificates({}, SUBJECT, at(0));

    const leaf = await ensureCertificates(
      { ...stored(made), leaf: { ...made.leaf, key: other.leaf.key } },
      SUBJECT,
      at(1),
    );
    const authority = await ensureCertificates(
      { ...stored(made), authority: { ...made.authority, key: other.authority.key } },
      SUBJECT,
      at(1),
    );

    expect(leaf.changed).toEqual({ authority: false, leaf: true });
    expect(authority.changed).toEqual({ authority: true, leaf: false });
  });

  it('publishes a new CA beside the old one a year before its end, and moves the leaf when it is due', async () => {
    const day = 3650 - 365;
    const made = await ensureCertificates({}, SUBJECT, at(0));
    const recent = await ensureCertificates(stored(made), SUBJECT, at(day - 10));

    const overlap = await ensureCertificates(stored(recent), SUBJECT, at(day));
    const moved = await ensureCertificates(stored(overlap), SUBJECT, at(day + 60));
    const over = await ensureCertificates(stored(moved), SUBJECT, at(3651));

    expect(overlap.changed).toEqual({ authority: true, leaf: false });
    expect(splitCertificates(overlap.caBundle)).toHaveLength(2);
    expect(moved.changed).toEqual({ authority: false, leaf: true });
    expect(isSignedByOneOf(moved.leaf.certificate, overlap.authority.certificate, at(day + 60).now)).toBe(
      true,
    );
    expect(over.caBundle).toBe(overlap.authority.certificate);
    expect(unexpired(overlap.caBundle, at(3651).now)).toEqual([overlap.authority.certificate]);
  });

  it('does not take a leaf certificate for a CA', async () => {
    const made = await ensureCertificates({}, SUBJECT, at(0));

    const again = await ensureCertificates({ ...stored(made), authority: made.leaf }, SUBJECT, at(1));

    expect(again.changed.authority).toBe(true);
  });
});

function handshake(port: number, host: string, ca: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', ca, checkServerIdentity: identityOf(host) }, () => {
      socket.end();
      resolve(undefined);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}

function identityOf(host: string) {
  return (_: string, peer: PeerCertificate) => checkServerIdentity(host, peer);
}
