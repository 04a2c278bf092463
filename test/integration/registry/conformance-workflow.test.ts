import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';

import { build } from '../../../scripts/build.ts';
import { freePort } from '../../servers/process.ts';
import { sha256 } from './content.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const GONE = { timeout: 20_000, interval: 50 };

interface Step {
  readonly name: string;
  readonly uses?: string;
  readonly run?: string;
  readonly if?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, { readonly steps: readonly Step[] }>>;
}

/** Every switch of the suite, as its configuration reads them. */
const SWITCHES = [
  ...['PING', 'PULL', 'PUSH', 'REFERRER'].map((name) => `OCI_API_${name}`),
  ...['ATOMIC', 'DELETE', 'DIGEST_HEADER', 'MOUNT_ANONYMOUS', 'UPLOAD_CANCEL'].map(
    (name) => `OCI_API_BLOBS_${name}`,
  ),
  ...['ATOMIC', 'DELETE', 'DIGEST_HEADER', 'TAG_PARAM'].map((name) => `OCI_API_MANIFESTS_${name}`),
  ...['ATOMIC', 'DELETE', 'LIST'].map((name) => `OCI_API_TAGS_${name}`),
  ...['IMAGE', 'INDEX', 'INDEX_LIST', 'SPARSE', 'ARTIFACT', 'ARTIFACT_LIST'].map(
    (name) => `OCI_DATA_${name}`,
  ),
  ...['SUBJECT', 'SUBJECT_LIST', 'SUBJECT_MISSING'].map((name) => `OCI_DATA_${name}`),
  ...['DATA_FIELD', 'NONDISTRIBUTABLE', 'CUSTOM_FIELDS', 'NO_LAYERS', 'EMPTY_BLOB', 'SHA512'].map(
    (name) => `OCI_DATA_${name}`,
  ),
];

let folder: string;
let workflow: Workflow;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'workflow-'));
  workflow = parse(await readFile(join(ROOT, '.github/workflows/conformance.yml'), 'utf8')) as Workflow;
});
afterAll(() => rm(folder, { recursive: true }));

function step(name: string): Step {
  const found = workflow.jobs['conformance']?.steps.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`the workflow has no step "${name}"`);
  return found;
}

/** Runs the script of a step as the runner does, with these variables in place of the step's own. */
function runStep(
  name: string,
  env: Readonly<Record<string, string>>,
): Promise<{ code: number; output: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; output: string }>();
  const args = ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step(name).run ?? ''];
  // The server goes on after the step: it must not keep our pipes open.
  execFile(
    'bash',
    args,
    { cwd: ROOT, env: { ...process.env, ...env }, timeout: 60_000 },
    (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code ?? -1);
      resolve({ code, output: `${stdout}${stderr}` });
    },
  );
  return promise;
}

describe('the workflow of the official conformance suite', () => {
  it('runs for every change and on demand', () => {
    expect(Object.keys(workflow.on).toSorted()).toEqual(['pull_request', 'push', 'workflow_dispatch']);
  });

  it('bundles the programs before it starts the server, and starts it before the suite', () => {
    const names = workflow.jobs['conformance']?.steps.map(({ name }) => name) ?? [];
    const order = [
      'Bundle the programs',
      'Start the registry',
      'Run the conformance suite',
      'Check the counts',
    ];

    expect(names.filter((name) => order.includes(name))).toEqual(order);
  });

  it('calls the official action for the unreleased version with every switch on', () => {
    const { uses, env = {} } = step('Run the conformance suite');

    expect(uses).toBe('opencontainers/distribution-spec@main');
    expect(env['OCI_VERSION']).toBe('dev');
    expect(env['OCI_TLS']).toBe('disabled');
    expect(env['OCI_REPO1']).not.toBe(env['OCI_REPO2']);
    const switches = Object.entries(env).filter(([name]) => /^OCI_(?:API|DATA)_/.test(name));
    expect(Object.fromEntries(switches)).toEqual(Object.fromEntries(SWITCHES.map((name) => [name, 'true'])));
  });

  it('points the suite at the address that the server listens on', () => {
    const { env } = step('Start the registry');

    expect(step('Run the conformance suite').env?.['OCI_REGISTRY']).toBe(env?.['LISTEN']);
    expect(env?.['PROGRAM']).toBe('dist/registry.js');
  });

  it('checks and uploads the results whatever has happened before', () => {
    expect(step('Run the conformance suite').env?.['OCI_RESULTS_DIR']).toBe('${{ env.RESULTS }}');
    expect(step('Check the counts').if).toBe('always()');
    expect(step('Upload the results')).toMatchObject({ if: 'always()', uses: 'actions/upload-artifact@v4' });
  });
});

describe('the step "Start the registry"', () => {
  let env: Record<string, string>;

  beforeAll(() => build(join(folder, 'dist')));
  beforeEach(async () => {
    env = {
      PROGRAM: join(folder, 'dist/registry.js'),
      LISTEN: `127.0.0.1:${await freePort()}`,
      OPS: `127.0.0.1:${await freePort()}`,
      FOLDER: await mkdtemp(join(folder, 'server-')),
    };
  });
  afterEach(async () => {
    const pid = Number(await readFile(join(env['FOLDER'] ?? '', 'registry.pid'), 'utf8'));
    if (isRunning(pid)) process.kill(pid, 'SIGTERM');
    await vi.waitUntil(() => !isRunning(pid), GONE);
  });

  it('leaves a server behind that takes sparse content and deletes of strangers', async () => {
    expect(await runStep('Start the registry', env)).toEqual({ code: 0, output: '' });

    const url = `http://${env['LISTEN']}/v2`;
    expect((await fetch(`${url}/`)).status).toBe(200);
    const push = await fetch(`${url}/one/manifests/sparse`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: sparseManifest(),
    });
    expect(push.status).toBe(201);
    expect((await fetch(`${url}/one/manifests/sparse`, { method: 'DELETE' })).status).toBe(202);
    expect((await fetch(`${url}/one/manifests/sparse`)).status).toBe(404);
  });

  it('fails with the log of a server that cannot start', async () => {
    await writeFile(join(env['FOLDER'] ?? '', 'data'), 'a file where the folder should be');

    const { code, output } = await runStep('Start the registry', env);

    expect(code).toBe(1);
    expect(output).toContain('the registry has not become ready');
    expect(output).toMatch(/"msg":|ENOTDIR|EEXIST/);
  });
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** An image of which the repository has nothing. */
function sparseManifest(): string {
  const config = { mediaType: 'application/vnd.oci.empty.v1+json', digest: sha256('{}'), size: 2 };
  return JSON.stringify({ schemaVersion: 2, config, layers: [] });
}

/** Runs the step on a report. */
async function check(junit: string | undefined): Promise<{ code: number; output: string }> {
  const results = await mkdtemp(join(folder, 'results-'));
  if (junit !== undefined) await writeFile(join(results, 'junit.xml'), junit);
  return runStep('Check the counts', { RESULTS: results });
}

describe('the step "Check the counts"', () => {
  it('passes when everything has passed', async () => {
    const { code } = await check(
      '<testsuites time="18.3" tests="1036">\n  <testsuite tests="1036" failures="0">',
    );

    expect(code).toBe(0);
  });

  it.each(['failures', 'errors', 'skipped', 'disabled'])('fails when %s are counted', async (name) => {
    const { code, output } = await check(`<testsuites time="18.3" tests="1036" ${name}="1">\n`);

    expect(code).toBe(1);
    expect(output).toContain(`${name}: 1, expected 0`);
  });

  it.each([
    ['nothing was tested', '<testsuites time="0.0">\n'],
    ['hardly anything was tested', '<testsuites time="0.0" tests="12">\n'],
    ['the file is something else', 'not XML\n'],
    ['there is no file', undefined],
  ])('fails when %s', async (_, junit) => {
    expect((await check(junit)).code).not.toBe(0);
  });
});
