import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import { TLS_KEYS } from '../resources/tls-secret.ts';
import { problem, type Reference, resolve } from './references.ts';
import type { Violation } from './violation.ts';

/** The user's certificate is there, fits its key and has not ended. */
export function checkTls(registry: Registry, facts: Facts): Violation[] {
  const secret = registry.spec.tls.secretRef;
  if (secret === undefined) return [];
  const reference: Reference = {
    path: 'spec.tls.secretRef',
    kind: 'Secret',
    name: secret.name,
    condition: 'CertificateReady',
  };
  const found = resolve(registry, facts, reference, [TLS_KEYS.certificate, TLS_KEYS.key]);
  if ('violations' in found) return found.violations;
  const fault = certificateFault(facts);
  if (fault === undefined) return [];
  return [problem(registry, reference, fault.reason, `Secret "${secret.name}": ${fault.message}`)];
}

function certificateFault({ certificate, now }: Facts): { reason: string; message: string } | undefined {
  const info = certificate?.info;
  if (info === undefined) {
    return { reason: 'InvalidCertificate', message: `${TLS_KEYS.certificate} is not a PEM certificate` };
  }
  if (!info.keyMatches) {
    const message = `${TLS_KEYS.key} is not the private key of ${TLS_KEYS.certificate}`;
    return { reason: 'KeyMismatch', message };
  }
  if (info.notAfter > now) return undefined;
  const message = `the certificate ended at ${info.notAfter.toISOString()}`;
  return { reason: 'CertificateExpired', message };
}
