import type { Registry } from '../../../api/v1alpha1/registry.ts';
import { checkAuth } from './checks/auth.ts';
import { checkMonitoring } from './checks/monitoring.ts';
import { checkOwnership } from './checks/ownership.ts';
import { checkStorage } from './checks/storage.ts';
import { checkTls } from './checks/tls.ts';
import type { Violation } from './checks/violation.ts';
import type { Facts } from './facts.ts';

/** In order of weight: the first violation is the reason that `Ready` shows. */
const CHECKS = [checkOwnership, checkStorage, checkTls, checkAuth, checkMonitoring];

/**
 * What the schema cannot see because it is in other objects.
 *
 * @returns every violation, the gravest first; none when the Registry can be what it should be
 */
export function check(registry: Registry, facts: Facts): Violation[] {
  return CHECKS.flatMap((predicate) => predicate(registry, facts));
}
