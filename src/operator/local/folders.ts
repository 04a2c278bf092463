import { join } from 'node:path';

import type { Placement } from '../controllers/registry/placement.ts';

/** Where local mode keeps one Registry. */
export interface LocalFolders {
  readonly root: string;
  /** Certificate authority and certificate; only the owner can read it. */
  readonly pki: string;
  /** The CA's certificate, for clients. */
  readonly caFile: string;
  readonly placement: Placement;
}

export interface LocalAddresses {
  /** `host:port` of the registry API. */
  readonly listen: string;
  /** `host:port` of the operations port. */
  readonly opsListen: string;
}

/** @param root `<state>/registry-operator/<namespace>/<name>` */
export function localFolders(root: string, addresses: LocalAddresses): LocalFolders {
  const configuration = join(root, 'etc');
  return {
    root,
    pki: join(root, 'pki'),
    caFile: join(root, 'ca.crt'),
    placement: {
      configFile: join(configuration, 'config', 'config.json'),
      tlsDir: join(configuration, 'tls'),
      authDir: join(configuration, 'auth'),
      credentialsDir: join(configuration, 'credentials'),
      caBundleDir: join(configuration, 'ca-bundle'),
      dataDir: join(root, 'data'),
      spoolDir: join(root, 'spool'),
      listen: addresses.listen,
      opsListen: addresses.opsListen,
    },
  };
}
