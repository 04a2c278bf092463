import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { parseRegistry } from '../../../src/api/v1alpha1/parse.ts';
import type { Registry } from '../../../src/api/v1alpha1/registry.ts';
import { RULES } from '../../../src/api/v1alpha1/rules.ts';
import { type ApiServer, startApiServer } from '../../servers/api-server.ts';
import { ACCEPTED } from './accepted.ts';
import { type ApiClient, createApiClient, problemsOf } from './api-client.ts';
import { REFUSED } from './refused.ts';
import { create, installCrd, REGISTRIES, registryOf, tryCreate } from './registries.ts';
import { UPDATES } from './updates.ts';

/** The parser and a real API server give the same verdicts, the same defaults and the same words. */

let server: ApiServer;
let api: ApiClient;

beforeAll(async () => {
  server = await startApiServer();
  api = createApiClient(server);
  await installCrd(api);
});

afterAll(async () => {
  api?.close();
  await server?.stop();
});

describe('accepted', () => {
  test.each(ACCEPTED)('$title', async ({ spec, name }) => {
    const registry = registryOf(spec, name);

    const answer = await tryCreate(api, registry);
    const parsed = parseRegistry(registry);

    expect(problemsOf(answer)).toEqual([]);
    expect(parsed.errors).toBeUndefined();
    expect(parsed.registry?.spec).toEqual(answer.body['spec']);
  });
});

describe('refused', () => {
  test.each(REFUSED)('$title', async ({ spec, name, errors, alsoInCluster = [] }) => {
    const registry = registryOf(spec, name);

    const answer = await tryCreate(api, registry);
    const parsed = parseRegistry(registry);

    expect(problemsOf(answer).toSorted()).toEqual([...errors, ...alsoInCluster].toSorted());
    expect(parsed.errors?.toSorted()).toEqual(errors.toSorted());
  });

  test('every rule refuses at least one of the cases', () => {
    const said = [...REFUSED, ...UPDATES].flatMap(({ errors = [] }) => errors);
    const silent = RULES.filter(({ path, message, messageExpression, fieldPath }) => {
      const words = messageExpression === undefined ? message : 'size cannot shrink from';
      const field = `${path}${fieldPath ?? ''}`.replace(/^\./, '').replace(/(\[\]|\{\})$/, '[');
      return !said.some((error) => error.startsWith(field) && error.includes(words));
    });

    expect(silent.map(({ path, message }) => `${path}: ${message}`)).toEqual([]);
  });
});

describe('updates', () => {
  test.each(UPDATES)('$title', async ({ from, to, errors = [] }) => {
    const stored = await create(api, registryOf(from));
    const metadata = stored['metadata'] as Registry['metadata'];
    const changed = { ...stored, spec: to };

    const answer = await api.call('PUT', `${REGISTRIES}/${metadata.name}?dryRun=All&fieldValidation=Strict`, {
      body: changed,
    });
    const old = parseRegistry(stored).registry;
    const parsed = parseRegistry(changed, old);

    expect(old).toBeDefined();
    expect(problemsOf(answer).toSorted()).toEqual(errors.toSorted());
    expect(parsed.errors?.toSorted() ?? []).toEqual(errors.toSorted());
    expect(parsed.registry?.spec).toEqual(errors.length === 0 ? answer.body['spec'] : undefined);
  });
});
