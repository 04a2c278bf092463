import type * as z from 'zod';

import { atomicList, obj, objectName, text, word } from '../schema.ts';

const HtpasswdReference = obj('Secret with htpasswd lines.', {
  name: objectName,
  key: text('Key in the Secret.', { min: 1 }).default('htpasswd'),
});

const BasicAuth = obj('User names and passwords.', {
  htpasswdSecretRefs: atomicList(
    'Secrets with htpasswd lines (bcrypt). Later Secrets win.',
    HtpasswdReference,
    { min: 1, max: 16 },
  ),
});

/** Who may do what: `spec.auth`. It is required, so that a misspelt `auth` never means an open registry. */
export const Auth = obj('Who may do what. Every request must match a listed method, or anonymous.', {
  anonymous: word('What clients without credentials may do. PullPush is an open registry.', [
    'None',
    'Pull',
    'PullPush',
  ]).default('None'),
  basic: BasicAuth.optional(),
});
export type Auth = z.infer<typeof Auth>;
