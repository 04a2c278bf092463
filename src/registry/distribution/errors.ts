import { AppError } from '../../shared/errors.ts';
import { StorageError, type StorageErrorCode } from '../storage/errors.ts';
import type { RepositoryName, UploadId } from './names.ts';

/** One error code of the registry API: what a client reads in `errors[].code`, and the usual HTTP status. */
export interface ErrorCatalogueEntry {
  readonly code: string;
  readonly status: number;
  /** Sent to the client unless the throw site knows better. */
  readonly message: string;
  /** For the documentation: when it happens and what to do. */
  readonly description: string;
}

/**
 * Every error code that the registry answers (OCI dist-spec "Error Codes", and those that distribution
 * added). `docs/errors.md` is generated from this table.
 */
export const ERROR_CATALOGUE = [
  {
    code: 'BLOB_UNKNOWN',
    status: 404,
    message: 'blob unknown to the repository',
    description:
      'The repository has no blob with this digest. A blob that only another repository has counts as unknown.',
  },
  {
    code: 'BLOB_UPLOAD_UNKNOWN',
    status: 404,
    message: 'blob upload unknown to the repository',
    description: 'The upload session was completed, cancelled or purged, or belongs to another repository.',
  },
  {
    code: 'DENIED',
    status: 403,
    message: 'requested access to the resource is denied',
    description: 'The user is known and lacks the right to do this.',
  },
  {
    code: 'DIGEST_INVALID',
    status: 400,
    message: 'provided digest is malformed or does not match the uploaded content',
    description:
      'A digest is not `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits, or the received bytes have another digest. In the second case the upload is cancelled.',
  },
  {
    code: 'MANIFEST_BLOB_UNKNOWN',
    status: 400,
    message: 'manifest references content that the repository does not have',
    description:
      'A config, layer or child manifest is missing in the repository; `detail` names it. Push it first, then the manifest.',
  },
  {
    code: 'MANIFEST_INVALID',
    status: 400,
    message: 'manifest invalid',
    description:
      'The manifest is malformed or ambiguous. Status 413 means that it is longer than `limits.maxManifestBytes`, 415 that its type is not supported (Docker schema 1 among them).',
  },
  {
    code: 'MANIFEST_UNKNOWN',
    status: 404,
    message: 'manifest unknown to the repository',
    description: 'The repository has no manifest with this tag or digest.',
  },
  {
    code: 'NAME_INVALID',
    status: 400,
    message: 'invalid repository name',
    description:
      'Repository names are lower-case path components of letters, digits and separators, 255 characters at most in all.',
  },
  {
    code: 'NAME_UNKNOWN',
    status: 404,
    message: 'repository name not known to the registry',
    description: 'Nothing was ever pushed to this repository, or everything in it was removed.',
  },
  {
    code: 'PAGINATION_NUMBER_INVALID',
    status: 400,
    message: 'invalid number of results requested',
    description: 'The query parameter `n` is not an integer of zero or more.',
  },
  {
    code: 'RANGE_INVALID',
    status: 416,
    message: 'invalid content range',
    description:
      'A chunk does not start where the upload ends (`Range` and `Location` of the answer tell the true state), another request is writing to the same upload, or a requested byte range lies outside of the blob.',
  },
  {
    code: 'SIZE_INVALID',
    status: 400,
    message: 'provided length did not match the content length',
    description:
      'Fewer or more bytes arrived than Content-Length or Content-Range promised. Status 413 means that the blob would be longer than `limits.maxBlobBytes`; an upload that took more bytes before that was known is cancelled. Status 408 means that the body came more slowly than `limits.bodyIdleSeconds` and `limits.minBodyBytesPerSecond` allow; of a `PATCH` the upload keeps what has come, of a whole blob in one request nothing is kept.',
  },
  {
    code: 'TAG_INVALID',
    status: 400,
    message: 'invalid tag',
    description:
      'Tags have 1 to 128 characters of letters, digits, `_`, `.` and `-`, and do not begin with `.` or `-`. Status 414 means that one push names more than 64 of them.',
  },
  {
    code: 'TOOMANYREQUESTS',
    status: 429,
    message: 'too many requests',
    description:
      'The client takes more than `limits.perClient` allows, or too many passwords are being checked. Wait as long as `Retry-After` says, then repeat the request.',
  },
  {
    code: 'UNAUTHORIZED',
    status: 401,
    message: 'authentication required',
    description: 'Log in, or check user name and password; `WWW-Authenticate` tells the method.',
  },
  {
    code: 'UNAVAILABLE',
    status: 503,
    message: 'service unavailable',
    description:
      'The storage does not answer, the server is stopping, or more requests wait than `limits.read` or `limits.write` allow. Repeat the request after the time that `Retry-After` says. Status 507 means that the storage is full.',
  },
  {
    code: 'UNKNOWN',
    status: 500,
    message: 'unknown error',
    description: 'An unexpected failure; the log of the server has the cause under the same request id.',
  },
  {
    code: 'UNSUPPORTED',
    status: 405,
    message: 'the operation is unsupported',
    description:
      'The registry does not offer this operation, or it is switched off. Status 404 means that there is no such endpoint, and 415 that the Content-Type is not one for this request. Status 400 means that the head of the request is unclear or no HTTP/1.1, or that its Transfer-Encoding is not `chunked`, 431 that it is longer than `http.maxHeaderBytes`, and 408 that it took longer than `limits.headerSeconds`; the connection is closed then.',
  },
] as const satisfies readonly ErrorCatalogueEntry[];

export type DistributionErrorCode = (typeof ERROR_CATALOGUE)[number]['code'];

export interface DistributionErrorOptions {
  /** For the client; default is the message of the catalogue. */
  readonly message?: string;
  /** Any JSON value for the client; no secrets, nothing of other repositories. */
  readonly detail?: unknown;
  /** Where one code has several statuses (413, 415, 507). */
  readonly status?: number;
  /** For the log only. */
  readonly cause?: unknown;
}

/** A failure that the client is told about, by code (OCI dist-spec "Error Codes") and HTTP status. */
export class DistributionError extends AppError {
  override readonly name: string = 'DistributionError';
  declare readonly code: DistributionErrorCode;
  readonly status: number;
  readonly detail?: unknown;

  constructor(code: DistributionErrorCode, options: DistributionErrorOptions = {}) {
    const entry = ENTRIES.get(code);
    super(code, options.message ?? entry?.message ?? code, { cause: options.cause });
    this.status = options.status ?? entry?.status ?? 500;
    if (options.detail !== undefined) this.detail = options.detail;
  }
}

/** Where an upload session stands. */
export interface UploadStatus {
  readonly repository: RepositoryName;
  readonly id: UploadId;
  /** Bytes received; where the next chunk starts. */
  readonly offset: number;
}

/** 416: a chunk out of order, or a second writer. Carries the true state, for `Location` and `Range`. */
export class RangeInvalid extends DistributionError {
  override readonly name = 'RangeInvalid';
  readonly upload: UploadStatus;

  constructor(upload: UploadStatus, message: string, options: { cause?: unknown } = {}) {
    super('RANGE_INVALID', { message, detail: { offset: upload.offset }, cause: options.cause });
    this.upload = upload;
  }
}

/**
 * What a client is told of any failure: a {@link DistributionError} unchanged, a `StorageError` by its code,
 * everything else as UNKNOWN 500. Keeps the original as `cause` for the log, and none of its text.
 */
export function toDistributionError(error: unknown): DistributionError {
  if (error instanceof DistributionError) return error;
  if (!(error instanceof StorageError)) return new DistributionError('UNKNOWN', { cause: error });
  const failure = STORAGE_FAILURES[error.code];
  if (failure === undefined) return new DistributionError('UNKNOWN', { cause: error });
  return new DistributionError(failure.code, { ...failure, cause: error });
}

/** What clients are told of failures of the storage; every other code is our own mistake. */
const STORAGE_FAILURES: Partial<
  Record<StorageErrorCode, { readonly code: DistributionErrorCode } & DistributionErrorOptions>
> = {
  INVALID_RANGE: { code: 'RANGE_INVALID' },
  NO_SPACE: { code: 'UNAVAILABLE', status: 507, message: 'no space left in the storage' },
  UNAVAILABLE: { code: 'UNAVAILABLE', message: 'the storage does not answer' },
};

const ENTRIES: ReadonlyMap<string, ErrorCatalogueEntry> = new Map(
  ERROR_CATALOGUE.map((entry) => [entry.code, entry]),
);
