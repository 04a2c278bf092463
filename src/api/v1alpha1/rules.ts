import { compareQuantities, isQuantity } from '../quantity.ts';
import {
  type Rule,
  type StateDeclaration,
  type TransitionDeclaration,
  entries,
  items,
  one,
  rulesAt,
} from './rule.ts';
import type { VolumeClaim } from './storage.ts';

/**
 * Every rule that a schema cannot say, once: as CEL for the CustomResourceDefinition and as the same check in
 * TypeScript for files that are read without a cluster, with the same words.
 *
 * Traps of CEL that shape the expressions: an optional field is read only behind `has()`; `optional == optional`
 * loses its size bound and is refused; a rule on an optional field does not see it come or go, so that rules on
 * changes sit on the parent; quantities may be integers, so that `string()` comes first.
 *
 * Never add a rule at `spec` to a version that is served: an object that breaks it could no longer be scaled.
 * A rule at the object that it speaks of applies only when that object changes.
 */

const MAKE_ANEW = 'create a new Registry and copy the content';

/** A member of a union: set exactly when the discriminator names it. */
function member<Field extends string>(
  type: string,
  field: Field,
): StateDeclaration<{ type: string } & { readonly [Name in Field]?: unknown }> {
  return {
    cel: `has(self.${field}) == (self.type == '${type}')`,
    message: `set ${field} if and only if type is ${type}`,
    fieldPath: `.${field}`,
    reason: 'FieldValueInvalid',
    holds: (value) => (value[field] !== undefined) === (value.type === type),
  };
}

/** An optional field that never changes, nor comes, nor goes. */
function frozen<Field extends string>(
  field: Field,
): TransitionDeclaration<{ readonly [Name in Field]?: string | undefined }> {
  return {
    transition: true,
    cel: `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
    message: `${field} cannot be changed after creation; ${MAKE_ANEW}`,
    fieldPath: `.${field}`,
    reason: 'FieldValueForbidden',
    holds: (value, old) => value[field] === old[field],
  };
}

const positiveQuantity: StateDeclaration<string | number> = {
  intOrString: true,
  cel: "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
  message: 'must be a quantity greater than 0, such as 100Gi',
  holds: (value) => isQuantity(value) && compareQuantities(value, '0') > 0,
};

const resourceQuantity: StateDeclaration<string | number> = {
  intOrString: true,
  cel: "isQuantity(string(self)) && !quantity(string(self)).isLessThan(quantity('0'))",
  message: 'must be a quantity that is not negative, such as 500m or 128Mi',
  holds: (value) => isQuantity(value) && compareQuantities(value, '0') >= 0,
};

/** A rule by a regular expression that RE2 and JavaScript read alike. */
function matching(pattern: string, message: string): StateDeclaration<string> {
  const expression = new RegExp(pattern);
  return { cel: `self.matches('${pattern}')`, message, holds: (value) => expression.test(value) };
}

/** The last part has a letter: a name that ends in a number would be read as an IPv4 address. */
const NAME = '([A-Za-z0-9-]+[.])*([0-9][0-9-]*)?[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?';
const OCTET = '(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const HOST = `(${NAME}|${OCTET}([.]${OCTET}){3}|[[][0-9A-Fa-f:.]+])`;
const PORT = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])';
/** Scheme, host and perhaps port and path; no user, query or fragment, which an endpoint has no use for. */
const ENDPOINT = `^https?://${HOST}(:${PORT})?(/[A-Za-z0-9._~/-]*)?$`;
const endpointExpression = new RegExp(ENDPOINT);

const metadata = rulesAt('', (registry) => one(registry), [
  {
    cel: "!self.metadata.name.contains('.')",
    message: 'metadata.name must not contain a dot: a Service gets the same name',
    fieldPath: '.metadata.name',
    reason: 'FieldValueInvalid',
    holds: ({ metadata: { name } }) => !name.includes('.'),
  },
  {
    cel: "self.metadata.name.matches('^[a-z]')",
    message: 'metadata.name must begin with a letter: a Service gets the same name',
    fieldPath: '.metadata.name',
    reason: 'FieldValueInvalid',
    holds: ({ metadata: { name } }) => /^[a-z]/.test(name),
  },
]);

const spec = rulesAt('spec', (registry) => one(registry.spec), [
  {
    cel: "self.replicas <= 1 || self.storage.type != 'Ephemeral'",
    message: 'Ephemeral storage is not shared; replicas must be 0 or 1',
    fieldPath: '.replicas',
    reason: 'FieldValueInvalid',
    holds: ({ replicas, storage }) => replicas <= 1 || storage.type !== 'Ephemeral',
  },
  {
    cel: "self.replicas <= 1 || self.storage.type != 'Filesystem' || !has(self.storage.filesystem) || !has(self.storage.filesystem.volumeClaim) || self.storage.filesystem.volumeClaim.accessMode == 'ReadWriteMany'",
    message:
      'more than one replica needs a volumeClaim with accessMode ReadWriteMany, an existing shared claim, or S3',
    fieldPath: '.replicas',
    reason: 'FieldValueInvalid',
    holds: ({ replicas, storage }) =>
      replicas <= 1 ||
      storage.type !== 'Filesystem' ||
      storage.filesystem?.volumeClaim === undefined ||
      storage.filesystem.volumeClaim.accessMode === 'ReadWriteMany',
  },
  {
    cel: "self.deletionPolicy != 'Delete' || self.storage.type != 'S3'",
    message: 'deletionPolicy Delete never empties a bucket; use Retain with S3',
    fieldPath: '.deletionPolicy',
    reason: 'FieldValueInvalid',
    holds: ({ deletionPolicy, storage }) => deletionPolicy !== 'Delete' || storage.type !== 'S3',
  },
]);

const storage = rulesAt('spec.storage', (registry) => one(registry.spec.storage), [
  member('Filesystem', 'filesystem'),
  member('S3', 's3'),
  {
    cel: "!has(self.ephemeral) || self.type == 'Ephemeral'",
    message: 'ephemeral may be set only when type is Ephemeral',
    fieldPath: '.ephemeral',
    reason: 'FieldValueInvalid',
    holds: ({ ephemeral, type }) => ephemeral === undefined || type === 'Ephemeral',
  },
  {
    transition: true,
    cel: 'self.type == oldSelf.type',
    message: `storage.type cannot be changed after creation; ${MAKE_ANEW}`,
    fieldPath: '.type',
    reason: 'FieldValueForbidden',
    holds: (value, old) => value.type === old.type,
  },
]);

const filesystem = rulesAt('spec.storage.filesystem', (registry) => one(registry.spec.storage.filesystem), [
  {
    cel: 'has(self.volumeClaim) != has(self.existingClaim)',
    message: 'set exactly one of volumeClaim and existingClaim',
    holds: ({ volumeClaim, existingClaim }) => (volumeClaim === undefined) !== (existingClaim === undefined),
  },
  {
    transition: true,
    cel: 'has(self.volumeClaim) == has(oldSelf.volumeClaim)',
    message: 'volumeClaim and existingClaim cannot be exchanged after creation',
    reason: 'FieldValueForbidden',
    holds: (value, old) => (value.volumeClaim === undefined) === (old.volumeClaim === undefined),
  },
]);

const VOLUME_CLAIM = 'spec.storage.filesystem.volumeClaim';

const volumeClaim = rulesAt<VolumeClaim>(
  VOLUME_CLAIM,
  (registry) => one(registry.spec.storage.filesystem?.volumeClaim),
  [
    {
      transition: true,
      cel: '!isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size)) || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0',
      message: 'size cannot shrink; volumes can only grow',
      messageExpression:
        "'size cannot shrink from ' + string(oldSelf.size) + ' to ' + string(self.size) + '; volumes can only grow'",
      detail: (value, old) => `size cannot shrink from ${old.size} to ${value.size}; volumes can only grow`,
      fieldPath: '.size',
      reason: 'FieldValueInvalid',
      holds: ({ size }, { size: before }) =>
        !isQuantity(size) || !isQuantity(before) || compareQuantities(size, before) >= 0,
    },
    frozen('storageClassName'),
    frozen('accessMode'),
  ],
);

const claimSize = rulesAt(
  `${VOLUME_CLAIM}.size`,
  (registry) => one(registry.spec.storage.filesystem?.volumeClaim?.size),
  [positiveQuantity],
);

const s3 = rulesAt('spec.storage.s3', (registry) => one(registry.spec.storage.s3), [
  {
    cel: 'has(self.region) || has(self.endpoint)',
    message: 'set region, or endpoint for a service that is not AWS',
    holds: ({ region, endpoint }) => region !== undefined || endpoint !== undefined,
  },
  {
    cel: `!has(self.endpoint) || self.endpoint.matches('${ENDPOINT}')`,
    message: 'endpoint must be a URL such as https://minio.minio.svc:9000',
    fieldPath: '.endpoint',
    reason: 'FieldValueInvalid',
    holds: ({ endpoint }) => endpoint === undefined || endpointExpression.test(endpoint),
  },
  {
    cel: "!has(self.caBundleRef) || !has(self.endpoint) || !self.endpoint.startsWith('http://')",
    message: 'caBundleRef has no effect on an http:// endpoint',
    fieldPath: '.caBundleRef',
    reason: 'FieldValueInvalid',
    holds: ({ caBundleRef, endpoint }) =>
      caBundleRef === undefined || endpoint === undefined || !endpoint.startsWith('http://'),
  },
  {
    transition: true,
    cel: 'self.bucket == oldSelf.bucket',
    message: `bucket cannot be changed after creation; ${MAKE_ANEW}`,
    fieldPath: '.bucket',
    reason: 'FieldValueForbidden',
    holds: (value, old) => value.bucket === old.bucket,
  },
  frozen('prefix'),
]);

const bucket = rulesAt('spec.storage.s3.bucket', (registry) => one(registry.spec.storage.s3?.bucket), [
  matching(
    '^[a-z0-9][a-z0-9.-]*[a-z0-9]$',
    'must be a bucket name: lower case letters, digits, dots and hyphens',
  ),
]);

const prefix = rulesAt('spec.storage.s3.prefix', (registry) => one(registry.spec.storage.s3?.prefix), [
  {
    cel: "!self.startsWith('/') && !self.endsWith('/')",
    message: 'must not begin or end with /',
    holds: (value) => !value.startsWith('/') && !value.endsWith('/'),
  },
]);

const sizeLimit = rulesAt(
  'spec.storage.ephemeral.sizeLimit',
  (registry) => one(registry.spec.storage.ephemeral?.sizeLimit),
  [positiveQuantity],
);

const tls = rulesAt('spec.tls', (registry) => one(registry.spec.tls), [
  member('Secret', 'secretRef'),
  {
    cel: "!has(self.dnsNames) || self.type == 'SelfSigned'",
    message: 'dnsNames may be set only when the operator makes the certificate (type SelfSigned)',
    fieldPath: '.dnsNames',
    reason: 'FieldValueInvalid',
    holds: ({ dnsNames: names, type }) => names === undefined || type === 'SelfSigned',
  },
]);

const dnsNames = rulesAt('spec.tls.dnsNames[]', (registry) => items(registry.spec.tls.dnsNames), [
  matching(
    '^([*][.])?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$',
    'must be a host name in lower case, such as registry.example.com',
  ),
]);

const auth = rulesAt('spec.auth', (registry) => one(registry.spec.auth), [
  {
    cel: "has(self.basic) || self.anonymous != 'None'",
    message: 'nobody could log in: set basic, or anonymous to Pull or PullPush',
    holds: ({ basic, anonymous }) => basic !== undefined || anonymous !== 'None',
  },
]);

const limits = rulesAt('spec.resources.limits{}', (registry) => entries(registry.spec.resources?.limits), [
  resourceQuantity,
]);

const requests = rulesAt(
  'spec.resources.requests{}',
  (registry) => entries(registry.spec.resources?.requests),
  [resourceQuantity],
);

/** Every rule of a Registry, in the order in which their messages are shown. */
export const RULES: readonly Rule[] = [
  ...metadata,
  ...spec,
  ...storage,
  ...filesystem,
  ...volumeClaim,
  ...claimSize,
  ...s3,
  ...bucket,
  ...prefix,
  ...sizeLimit,
  ...tls,
  ...dnsNames,
  ...auth,
  ...limits,
  ...requests,
];
