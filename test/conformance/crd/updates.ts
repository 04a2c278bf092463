import { ephemeral, having, inBucket, onClaim, onVolume, type Spec } from './specs.ts';

/** A change of a stored Registry. */
export interface UpdateCase {
  readonly title: string;
  readonly from: Spec;
  readonly to: Spec;
  /** What both say; nothing when both allow the change. */
  readonly errors?: readonly string[];
}

const CLAIM = 'spec.storage.filesystem.volumeClaim';
const S3 = 'spec.storage.s3';

function frozen(parent: string, field: string): string {
  return `${parent}.${field}: Forbidden: ${field} cannot be changed after creation; create a new Registry and copy the content`;
}

function shrink(from: string, to: string): string {
  return `${CLAIM}.size: Invalid value: "object": size cannot shrink from ${from} to ${to}; volumes can only grow`;
}

const TYPE =
  'spec.storage.type: Forbidden: storage.type cannot be changed after creation; create a new Registry and copy the content';
const EXCHANGED =
  'spec.storage.filesystem: Forbidden: volumeClaim and existingClaim cannot be exchanged after creation';

const allowed: UpdateCase[] = [
  { title: 'a pause', from: inBucket(), to: inBucket({}, { paused: true }) },
  { title: 'a larger volume', from: onVolume(), to: onVolume({ size: '20Gi' }) },
  {
    title: 'the same size in another unit',
    from: onVolume({ size: '1024Mi' }),
    to: onVolume({ size: '1Gi' }),
  },
  {
    title: 'the same size as a number',
    from: onVolume({ size: '1Ki' }),
    to: onVolume({ size: 1024 }),
    errors: [],
  },
  {
    title: 'the access mode that is the default',
    from: onVolume(),
    to: onVolume({ accessMode: 'ReadWriteOnce' }),
  },
  {
    title: 'another existing claim',
    from: onClaim(),
    to: onClaim({ name: 'restored', subPath: 'x' }),
    errors: [],
  },
  {
    title: 'another way to the same bucket',
    from: inBucket(),
    to: inBucket({ endpoint: 'https://proxy', region: null }),
  },
  { title: 'no TLS', from: inBucket(), to: having('tls', { type: 'None' }) },
  {
    title: 'a limit for ephemeral storage',
    from: ephemeral(),
    to: ephemeral({ storage: { type: 'Ephemeral', ephemeral: { sizeLimit: 1 } } }),
  },
];

const refused: UpdateCase[] = [
  {
    title: 'a smaller volume',
    from: onVolume(),
    to: onVolume({ size: '5Gi' }),
    errors: [shrink('10Gi', '5Gi')],
  },
  {
    title: 'a smaller volume as a number',
    from: onVolume({ size: 2048 }),
    to: onVolume({ size: 1024 }),
    errors: [shrink('2048', '1024')],
  },
  {
    title: 'a volume that is smaller by a hair',
    from: onVolume({ size: '1Gi' }),
    to: onVolume({ size: '1073741823999m' }),
    errors: [shrink('1Gi', '1073741823999m')],
  },
  {
    title: 'a class where there was none',
    from: onVolume(),
    to: onVolume({ storageClassName: 'x' }),
    errors: [frozen(CLAIM, 'storageClassName')],
  },
  {
    title: 'no class where there was one',
    from: onVolume({ storageClassName: 'x' }),
    to: onVolume(),
    errors: [frozen(CLAIM, 'storageClassName')],
  },
  {
    title: 'another class',
    from: onVolume({ storageClassName: 'x' }),
    to: onVolume({ storageClassName: 'y' }),
    errors: [frozen(CLAIM, 'storageClassName')],
  },
  {
    title: 'another access mode',
    from: onVolume(),
    to: onVolume({ accessMode: 'ReadWriteMany' }),
    errors: [frozen(CLAIM, 'accessMode')],
  },
  {
    title: 'everything of a volume',
    from: onVolume(),
    to: onVolume({ size: 1, storageClassName: 'x', accessMode: 'ReadWriteMany' }),
    errors: [shrink('10Gi', '1'), frozen(CLAIM, 'storageClassName'), frozen(CLAIM, 'accessMode')],
  },
  { title: 'an existing claim for a created one', from: onVolume(), to: onClaim(), errors: [EXCHANGED] },
  { title: 'a created claim for an existing one', from: onClaim(), to: onVolume(), errors: [EXCHANGED] },
  { title: 'a bucket for a volume', from: onVolume(), to: inBucket(), errors: [TYPE] },
  { title: 'a volume for nothing', from: ephemeral(), to: onVolume(), errors: [TYPE] },
  {
    title: 'another bucket',
    from: inBucket(),
    to: inBucket({ bucket: 'other' }),
    errors: [frozen(S3, 'bucket')],
  },
  {
    title: 'a prefix where there was none',
    from: inBucket(),
    to: inBucket({ prefix: 'a' }),
    errors: [frozen(S3, 'prefix')],
  },
  {
    title: 'no prefix where there was one',
    from: inBucket({ prefix: 'a' }),
    to: inBucket(),
    errors: [frozen(S3, 'prefix')],
  },
  {
    title: 'another prefix',
    from: inBucket({ prefix: 'a' }),
    to: inBucket({ prefix: 'b' }),
    errors: [frozen(S3, 'prefix')],
  },
];

export const UPDATES: readonly UpdateCase[] = [...allowed, ...refused];
