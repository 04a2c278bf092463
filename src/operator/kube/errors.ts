import { AppError } from '../../shared/errors.ts';

/** What the API server said when it refused a call (`Status` of apimachinery). */
export interface ApiStatus {
  /** HTTP status. */
  readonly status: number;
  /** Machine-readable word such as `NotFound`, `Conflict`, `Invalid`; empty when the answer was no `Status`. */
  readonly reason: string;
  readonly message: string;
  readonly details?: unknown;
  /** Seconds that the API server asked to wait. */
  readonly retryAfter?: number | undefined;
}

/** An answer of the API server that is not 2xx. */
export class ApiError extends AppError implements ApiStatus {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly reason: string;
  readonly details: unknown;
  readonly retryAfter: number | undefined;

  constructor(answer: ApiStatus) {
    super('KUBE_API', answer.message);
    this.status = answer.status;
    this.reason = answer.reason;
    this.details = answer.details;
    this.retryAfter = answer.retryAfter;
  }
}

/** No usable answer: the connection failed, broke in the middle or took too long. The call may have had an effect. */
export class TransportError extends AppError {
  override readonly name = 'TransportError';

  constructor(message: string, cause?: unknown) {
    super('KUBE_TRANSPORT', message, { cause });
  }
}

/** This process does not hold the lease any more and must not write. */
export class NotLeaderError extends AppError {
  override readonly name = 'NotLeaderError';

  constructor() {
    super('KUBE_NOT_LEADER', 'this process does not hold the lease');
  }
}

function hasReason(error: unknown, status: number, reason: string): boolean {
  return (
    error instanceof ApiError && (error.reason === '' ? error.status === status : error.reason === reason)
  );
}

/** The object was changed by somebody else since it was read. */
export function isConflict(error: unknown): boolean {
  return hasReason(error, 409, 'Conflict');
}

/** An object of that name exists. */
export function isAlreadyExists(error: unknown): boolean {
  return hasReason(error, 409, 'AlreadyExists');
}

export function isNotFound(error: unknown): boolean {
  return hasReason(error, 404, 'NotFound');
}

/** The API server refused the content of an object (validation, immutable field, CEL rule). */
export function isInvalid(error: unknown): boolean {
  return hasReason(error, 422, 'Invalid');
}

/** RBAC or an admission plugin said no. */
export function isForbidden(error: unknown): boolean {
  return hasReason(error, 403, 'Forbidden');
}

/** The namespace is being deleted: nothing can be created in it any more. */
export function isNamespaceTerminating(error: unknown): boolean {
  if (!isForbidden(error) || !(error instanceof ApiError)) return false;
  const { causes } = Object(error.details);
  return Array.isArray(causes) && causes.some((cause) => Object(cause).reason === 'NamespaceTerminating');
}

/** The resourceVersion or the continue token is too old: list again (HTTP 410, reasons Expired and Gone). */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && error.status === 410;
}
