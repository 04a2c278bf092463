import type * as z from 'zod';

import { obj, reference, setList, text, word } from '../schema.ts';

/** How the registry is served: `spec.tls`. */
export const Tls = obj('How the registry is served. Unset is SelfSigned.', {
  type: word(
    'SelfSigned: own CA and certificate, renewed by the operator, CA published in a ConfigMap. Secret: a kubernetes.io/tls Secret. None: plain HTTP.',
    ['SelfSigned', 'Secret', 'None'],
  ).default('SelfSigned'),
  secretRef: reference('Secret of type kubernetes.io/tls.').optional(),
  dnsNames: setList('Further host names in the certificate.', text('Host name.', { min: 1 }), 32).optional(),
  minVersion: word('Lowest TLS version.', ['TLS12', 'TLS13']).default('TLS12'),
});
export type Tls = z.infer<typeof Tls>;
