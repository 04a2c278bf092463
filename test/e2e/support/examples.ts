import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseAllDocuments } from 'yaml';

import { createAuthority } from '../../../src/operator/pki/authority.ts';
import { issueCertificate } from '../../../src/operator/pki/certificate.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import { type Credentials, htpasswdLine } from './clients.ts';
import { EXAMPLES } from './environment.ts';
import { apply, waitUntilReady } from './objects.ts';

/** The user in the Secret that the examples name. */
export const USER: Credentials = { user: 'alice', password: 'a pass:word with ünicode' };

/** An S3 service of this machine. */
export interface HostS3 {
  /** On the host's end of the link to the node. */
  readonly port: number;
  readonly accessKey: string;
  readonly secretKey: string;
}

interface ExampleRegistry {
  readonly file: string;
  readonly name: string;
}

/** Every Registry in `examples/`. */
export async function exampleRegistries(): Promise<ExampleRegistry[]> {
  const files = (await readdir(EXAMPLES)).filter((file) => file.endsWith('.yaml')).toSorted();
  const found: ExampleRegistry[] = [];
  for (const file of files) {
    const documents = parseAllDocuments(await readFile(join(EXAMPLES, file), 'utf8'));
    for (const document of documents) {
      const object = document.toJS() as { kind?: string; metadata?: { name: string } } | null;
      if (object?.kind === 'Registry' && object.metadata !== undefined)
        found.push({ file, name: object.metadata.name });
    }
  }
  return found;
}

/** Name of the Registry in a file of `examples/`. */
export async function exampleName(file: string): Promise<string> {
  const example = (await exampleRegistries()).find((entry) => entry.file === file);
  if (example === undefined) throw new Error(`examples/${file} holds no Registry`);
  return example.name;
}

/**
 * Makes what the examples name (users, a certificate, a bucket behind a Service) and applies the whole folder.
 *
 * @returns milliseconds until the quick start was Ready, while the others still start
 */
export async function applyExamples(cluster: Cluster, s3: HostS3): Promise<number> {
  await makeNeeds(cluster, s3);
  const started = performance.now();
  await cluster.kubectl(['apply', '-f', EXAMPLES]);
  await waitUntilReady(cluster, 'default', await exampleName('quickstart.yaml'));
  return performance.now() - started;
}

/** Waits until every Registry of the examples is Ready; the set-up of this tier has applied them. */
export async function examplesReady(cluster: Cluster): Promise<void> {
  for (const { name } of await exampleRegistries()) await waitUntilReady(cluster, 'default', name);
}

async function makeNeeds(cluster: Cluster, s3: HostS3): Promise<void> {
  await apply(
    cluster,
    'default',
    secret('registry-users', 'Opaque', { htpasswd: await htpasswdLine(USER) }),
    secret(
      'registry-certificate',
      'kubernetes.io/tls',
      await certificate(await exampleName('tls-secret.yaml')),
    ),
    secret('registry-s3', 'Opaque', { AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey }),
    // The bucket is on the host: a Service without a selector, and its one endpoint.
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's3' },
      spec: { ports: [{ name: 's3', port: 9000, targetPort: s3.port }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 's3', labels: { 'kubernetes.io/service-name': 's3' } },
      addressType: 'IPv4',
      ports: [{ name: 's3', port: s3.port }],
      endpoints: [{ addresses: [cluster.hostIP] }],
    },
  );
}

function secret(name: string, type: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, type, stringData };
}

async function certificate(name: string): Promise<Record<string, string>> {
  const options = {
    now: new Date(),
    randomBytes: (size: number) => crypto.getRandomValues(new Uint8Array(size)),
  };
  const authority = await createAuthority('test CA', options);
  const names = [name, `${name}.default`, `${name}.default.svc`, `${name}.default.svc.cluster.local`];
  const leaf = await issueCertificate(authority, { commonName: name, names }, options);
  return { 'tls.crt': leaf.certificate, 'tls.key': leaf.key, 'ca.crt': authority.certificate };
}
