import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { parse } from 'yaml';

import type { Answer, ApiClient } from './api-client.ts';

export const REGISTRIES = '/apis/registry-operator.dev/v1alpha1/namespaces/default/registries';

const CRD_FILE = fileURLToPath(new URL('../../../crds/registries.yaml', import.meta.url));
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const ESTABLISH_MS = 30_000;

/**
 * Installs the generated CustomResourceDefinition and waits until Registries can be stored.
 *
 * @throws Error with the answer when the API server refuses it or warns of it
 */
export async function installCrd(api: ApiClient): Promise<void> {
  const crd: unknown = parse(await readFile(CRD_FILE, 'utf8'), { version: '1.1' });
  const answer = await api.call('POST', `${CRDS}?fieldValidation=Strict`, { body: crd });
  if (answer.status !== 201 || answer.warning !== undefined) {
    throw new Error(`the CRD was refused: ${answer.warning ?? JSON.stringify(answer.body)}`);
  }
  const deadline = Date.now() + ESTABLISH_MS;
  while ((await api.call('GET', REGISTRIES)).status !== 200) {
    if (Date.now() > deadline) throw new Error('the CRD was not established in time');
    await sleep(50);
  }
}

let count = 0;

/** A Registry document. */
export function registryOf(spec: unknown, name?: string): Record<string, unknown> {
  count += 1;
  return {
    apiVersion: 'registry-operator.dev/v1alpha1',
    kind: 'Registry',
    metadata: { name: name ?? `case-${count}`, namespace: 'default' },
    ...(spec === undefined ? {} : { spec }),
  };
}

/** Asks the API server to create it, with everything but storing it. */
export function tryCreate(api: ApiClient, registry: Record<string, unknown>): Promise<Answer> {
  return api.call('POST', `${REGISTRIES}?dryRun=All&fieldValidation=Strict`, { body: registry });
}

/** Creates it. @throws Error when it is refused */
export async function create(api: ApiClient, registry: Record<string, unknown>): Promise<Answer['body']> {
  const { status, body } = await api.call('POST', `${REGISTRIES}?fieldValidation=Strict`, { body: registry });
  if (status !== 201) throw new Error(`not created: ${String(body['message'])}`);
  return body;
}
