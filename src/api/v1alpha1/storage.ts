import type * as z from 'zod';

import { obj, objectName, quantity, reference, text, word } from '../schema.ts';

/** Where the content is kept: `spec.storage`. The rules between its fields are in `rules.ts`. */

const VolumeClaim = obj('A PersistentVolumeClaim that the operator creates.', {
  size: quantity('Requested size, a quantity, for example 100Gi. May only grow.'),
  storageClassName: text('StorageClass; unset is the cluster default. Cannot be changed.').optional(),
  accessMode: word(
    'Access mode of the volume. More than one replica needs ReadWriteMany. Cannot be changed.',
    ['ReadWriteOnce', 'ReadWriteOncePod', 'ReadWriteMany'],
  ).default('ReadWriteOnce'),
});
export type VolumeClaim = z.infer<typeof VolumeClaim>;

const ExistingClaim = obj('A PersistentVolumeClaim that already exists and is never deleted.', {
  name: objectName,
  subPath: text('Folder in the volume.', { max: 1024 }).optional(),
});

const FilesystemStorage = obj('Content on a volume. Set exactly one of volumeClaim and existingClaim.', {
  volumeClaim: VolumeClaim.optional(),
  existingClaim: ExistingClaim.optional(),
});

const CaBundleReference = obj('CA bundle that is used in place of the system CAs for this connection.', {
  kind: word('Kind of the object.', ['ConfigMap', 'Secret']).default('ConfigMap'),
  name: objectName,
  key: text('Key that holds the PEM bundle.', { min: 1 }).default('ca.crt'),
});

const S3Storage = obj('Content in an S3 compatible bucket.', {
  bucket: text('Name of an existing bucket. Cannot be changed.', { min: 3, max: 63 }),
  prefix: text('Prefix of all keys. Cannot be changed.', { min: 1, max: 512 }).optional(),
  region: text('Region; may be left out when endpoint is set.', { min: 1, max: 63 }).optional(),
  endpoint: text('URL of an S3 compatible service, for example https://minio.minio.svc:9000; unset is AWS.', {
    max: 2048,
  }).optional(),
  addressingStyle: word(
    'How the bucket is addressed. Auto is Path with an endpoint, VirtualHosted without.',
    ['Auto', 'Path', 'VirtualHosted'],
  ).default('Auto'),
  credentialsSecretRef: reference(
    'Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and optionally AWS_SESSION_TOKEN. Unset uses the identity of the ServiceAccount or the node.',
  ).optional(),
  caBundleRef: CaBundleReference.optional(),
});

const EphemeralStorage = obj('Content that is lost when the pod ends.', {
  sizeLimit: quantity('Size limit of the emptyDir, a quantity, for example 10Gi.').optional(),
});

export const Storage = obj('Where the content is kept.', {
  type: word('Kind of storage; the member of the same name carries its settings. Cannot be changed.', [
    'Filesystem',
    'S3',
    'Ephemeral',
  ]),
  filesystem: FilesystemStorage.optional(),
  s3: S3Storage.optional(),
  ephemeral: EphemeralStorage.optional(),
});
export type Storage = z.infer<typeof Storage>;
