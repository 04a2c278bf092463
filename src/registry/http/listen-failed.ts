import { formatAddress, type Address } from '../../shared/address.ts';
import { AppError, errorCode } from '../../shared/errors.ts';

/** The address cannot be listened on; the message says what to do. */
export class ListenFailed extends AppError {
  override readonly name = 'ListenFailed';

  constructor(address: Address, cause: unknown) {
    super('LISTEN_FAILED', listenMessage(formatAddress(address), errorCode(cause)), { cause });
  }
}

function listenMessage(address: string, code: string | undefined): string {
  switch (code) {
    case 'EADDRINUSE':
      return `cannot listen on ${address}: the port is taken. Stop the program that uses it, or choose another port`;
    case 'EACCES':
      return `cannot listen on ${address}: not permitted. Choose a port above 1023`;
    case 'EADDRNOTAVAIL':
      return `cannot listen on ${address}: this host has no such address`;
    case undefined:
    default:
      return `cannot listen on ${address}: ${code ?? 'unknown error'}`;
  }
}
