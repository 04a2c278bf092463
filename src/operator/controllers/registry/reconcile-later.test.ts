import { describe, expect, it } from 'vitest';

import type { RegistryStatus } from '../../../api/v1alpha1/registry.ts';
import type { Violation } from './checks/violation.ts';
import type { Facts } from './facts.ts';
import { nextLookMs } from './reconcile-later.ts';
import { CERTIFICATE, factsOf, NOW, registryOf } from './testing/samples.ts';

const HOUR = 3_600_000;

function after(ms: number): Date {
  return new Date(NOW.getTime() + ms);
}

function statusWith(reason: string, since: Date): RegistryStatus {
  const lastTransitionTime = since.toISOString();
  return {
    conditions: [{ type: 'ConfigApplied', status: 'False', reason, message: '', lastTransitionTime }],
  };
}

function look(facts: Partial<Facts>, status: RegistryStatus = {}, reason?: string): number {
  const violation: Violation = { condition: 'Ready', reason: reason ?? '', message: '', holds: [] };
  const violations = reason === undefined ? [] : [violation];
  return nextLookMs({ registry: registryOf(), facts: factsOf(facts), violations, wantedHash: 'a' }, status);
}

describe('nextLookMs', () => {
  it.each<[string, number, number]>([
    ['twice a day', look({}), 12 * HOUR],
    [
      'when the certificate is due',
      look({ certificate: { ...CERTIFICATE, renewalTime: after(HOUR) } }),
      HOUR,
    ],
    [
      "when the user's certificate ends",
      look({
        certificate: { certificate: '', key: '', info: { ...CERTIFICATE.info!, notAfter: after(HOUR) } },
      }),
      HOUR,
    ],
    [
      'never at once for what is overdue',
      look({ certificate: { ...CERTIFICATE, renewalTime: after(-1) } }),
      12 * HOUR,
    ],
    ['soon while pods load', look({}, statusWith('Loading', after(-1000))), 2000],
    ['less often when they do not', look({}, statusWith('Loading', after(-HOUR))), 30_000],
    ['not because pods are missing', look({}, statusWith('WaitingForPods', NOW)), 12 * HOUR],
    ['every half minute while a foreign object is in the way', look({}, {}, 'ObjectConflict'), 30_000],
  ])('looks again %s', (_, actual, expected) => {
    expect(actual).toBe(expected);
  });
});
