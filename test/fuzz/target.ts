import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hashSync } from 'bcryptjs';

import type { RegistryConfigInput } from '../../src/api/registry-config.ts';
import { createAuthority } from '../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../src/operator/pki/certificate.ts';
import { scratchFolder } from '../helpers/scratch-folder.ts';
import { RawConnection } from '../integration/registry/raw-http.ts';
import { startRegistry } from '../servers/registry.ts';

/** The server that is fuzzed. */
export interface Target {
  readonly pid: number;
  readonly opsUrl: string;
  readonly dataFolder: string;
  /** Value of `Authorization`, where one is wanted. */
  readonly authorization?: string;
  connect(): Promise<RawConnection>;
  log(): string;
  stop(): Promise<void>;
}

/** Starts a server on an empty folder; `secured` is over TLS with a user, else everybody may do everything. */
export async function startTarget(secured: boolean): Promise<Target> {
  const folder = await scratchFolder('registry-fuzz-');
  const dataFolder = join(folder, 'data');
  const security = secured ? await secure(folder) : undefined;
  const config: RegistryConfigInput = {
    storage: { driver: 'filesystem', rootDirectory: dataFolder, sync: 'Never' },
    auth: security?.auth ?? { anonymous: 'PullPush', anonymousDelete: true },
    http: security?.http ?? {},
    logging: { level: 'Warn' },
    // Hundreds of thousands of broken requests leave more sessions open than any client of good will.
    limits: { bodyIdleSeconds: 5, headerSeconds: 5, perClient: { maxOpenUploads: 1e9 } },
  };
  const registry = await startRegistry({ folder, config, ...(security ? { ca: security.ca } : {}) });
  const port = Number(new URL(registry.url).port);
  return {
    pid: registry.process.pid,
    opsUrl: registry.opsUrl,
    dataFolder,
    ...(security ? { authorization: security.authorization } : {}),
    connect: () => (security ? RawConnection.openSecure(port, security.ca) : RawConnection.open(port)),
    log: () => registry.process.log(),
    stop: async () => {
      await registry.process.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Security {
  readonly ca: string;
  readonly authorization: string;
  readonly auth: RegistryConfigInput['auth'];
  readonly http: RegistryConfigInput['http'];
}

async function secure(folder: string): Promise<Security> {
  const issue = { now: new Date(), randomBytes };
  const authority = await createAuthority('fuzz', issue);
  const leaf = await issueCertificate(authority, { commonName: 'registry', names: ['127.0.0.1'] }, issue);
  const files = { certificateFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') };
  const htpasswd = join(folder, 'htpasswd');
  await writeFile(files.certificateFile, leaf.certificate);
  await writeFile(files.keyFile, leaf.key);
  await writeFile(htpasswd, `ada:${hashSync('secret', 4)}\n`);
  return {
    ca: authority.certificate,
    authorization: `Basic ${Buffer.from('ada:secret').toString('base64')}`,
    auth: { anonymous: 'Pull', basic: { htpasswdFiles: [htpasswd] } },
    http: { tls: files },
  };
}
