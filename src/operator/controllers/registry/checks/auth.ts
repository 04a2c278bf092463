import type { Registry } from '../../../../api/v1alpha1/registry.ts';
import type { Facts } from '../facts.ts';
import { problem, type Reference, resolve } from './references.ts';
import type { Violation } from './violation.ts';

/** A line of an htpasswd file as the server takes it: a user and a bcrypt hash. */
const BCRYPT_LINE = /^[^:#\s][^:]*:\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}\s*$/m;

/** Every Secret with users is there and names at least one that can log in. */
export function checkAuth(registry: Registry, facts: Facts): Violation[] {
  const references = registry.spec.auth.basic?.htpasswdSecretRefs ?? [];
  return references.flatMap(({ name, key }, index) => {
    const reference: Reference = {
      path: `spec.auth.basic.htpasswdSecretRefs[${index}]`,
      kind: 'Secret',
      name,
      condition: 'ConfigApplied',
    };
    const found = resolve(registry, facts, reference, [key]);
    if ('violations' in found) return found.violations;
    if (BCRYPT_LINE.test(Buffer.from(found.data[key] ?? []).toString('utf8'))) return [];
    const message = `key "${key}" of Secret "${name}" has no line with a user and a bcrypt hash; make one with htpasswd -nbB`;
    return [problem(registry, reference, 'InvalidHtpasswd', message)];
  });
}
