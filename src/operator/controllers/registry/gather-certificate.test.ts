import { randomBytes } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import type { KubeObject } from '../../kube/types.ts';
import type { CertificateFacts } from './facts.ts';
import { certificateOfSecret, CertificateIssuer, type IssueRequest } from './gather-certificate.ts';
import { decodeData } from './gather-data.ts';
import { caSecret } from './resources/ca-secret.ts';
import { tlsSecret } from './resources/tls-secret.ts';
import { NOW, registryOf } from './testing/samples.ts';

const NOTHING = { ca: undefined, tls: undefined };

function mustNotBeAsked(): Promise<never> {
  return Promise.reject(new Error('must not be asked'));
}

function requestOf(overrides: Partial<IssueRequest> = {}): IssueRequest {
  return {
    registry: registryOf(),
    clusterIPs: ['10.96.0.7'],
    clusterDomain: 'cluster.local',
    now: NOW,
    cached: NOTHING,
    readLive: async () => NOTHING,
    ...overrides,
  };
}

function secretsOf(certificate: CertificateFacts): { ca: KubeObject | undefined; tls: KubeObject } {
  return { ca: caSecret(registryOf(), certificate), tls: tlsSecret(registryOf(), certificate) };
}

describe('CertificateIssuer', () => {
  it('issues a certificate that names the Service and its address', async () => {
    const certificate = await new CertificateIssuer(randomBytes).issue(requestOf());

    expect(certificate.info?.names).toEqual(expect.arrayContaining(['reg.apps.svc', '10.96.0.7']));
    expect(certificate.caCertificate).toBe(certificate.authority?.certificate);
  });

  it('keeps what is stored without asking the API server', async () => {
    const issuer = new CertificateIssuer(randomBytes);
    const first = await issuer.issue(requestOf());

    const second = await issuer.issue(requestOf({ cached: secretsOf(first), readLive: mustNotBeAsked }));

    expect(second).toEqual(first);
  });

  it('believes the API server when the cache is late', async () => {
    const stored = await new CertificateIssuer(randomBytes).issue(requestOf());

    const found = await new CertificateIssuer(randomBytes).issue(
      requestOf({ readLive: async () => secretsOf(stored) }),
    );

    expect(found).toEqual(stored);
  });

  it('does not make another certificate while nobody could store the first', async () => {
    const issuer = new CertificateIssuer(randomBytes);

    const first = await issuer.issue(requestOf());
    const second = await issuer.issue(requestOf());
    const half = { ...secretsOf(first), tls: undefined };
    const third = await issuer.issue(requestOf({ cached: half, readLive: async () => half }));

    expect(second).toEqual(first);
    expect(third).toEqual(first);
  });

  it('makes new ones when what was stored is deleted', async () => {
    const issuer = new CertificateIssuer(randomBytes);
    const first = await issuer.issue(requestOf());
    await issuer.issue(requestOf({ cached: secretsOf(first) }));

    const second = await issuer.issue(requestOf());

    expect(second.authority).not.toEqual(first.authority);
  });

  it('serves the same leaf when the CA alone is deleted, and publishes the new CA beside the former', async () => {
    const issuer = new CertificateIssuer(randomBytes);
    const first = await issuer.issue(requestOf());
    await issuer.issue(requestOf({ cached: secretsOf(first) }));
    const left = { ...secretsOf(first), ca: undefined };

    const second = await issuer.issue(requestOf({ cached: left, readLive: async () => left }));

    expect(second.certificate).toBe(first.certificate);
    expect(second.authority).not.toEqual(first.authority);
    expect(second.caCertificate).toBe(`${second.authority?.certificate}${first.authority?.certificate}`);
  });
});

describe('certificateOfSecret', () => {
  it.each([
    ['a missing Secret', undefined],
    ['a missing key', { 'tls.crt': Buffer.from('x') }],
    ['an empty certificate', { 'tls.crt': Buffer.from(''), 'tls.key': Buffer.from('x') }],
  ])('has nothing for %s', (_, data) => {
    expect(certificateOfSecret(data)).toBeUndefined();
  });
});

describe('decodeData', () => {
  it('reads Secrets and ConfigMaps', () => {
    const metadata = { name: 'a' };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data: { a: 'eA==' } };
    const configMap = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { a: 'x' },
      binaryData: { b: 'eQ==' },
    };

    expect(decodeData(secret)).toEqual({ a: Buffer.from('x') });
    expect(decodeData(configMap)).toEqual({ a: Buffer.from('x'), b: Buffer.from('y') });
    expect(decodeData(undefined)).toEqual({});
  });
});
