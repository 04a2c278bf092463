import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { parseAllDocuments } from 'yaml';

import type { KubeObject } from '../../src/operator/kube/types.ts';
import { toolPath } from '../helpers/tools.ts';

const run = promisify(execFile);

/** Folder of the chart. */
export const CHART = fileURLToPath(new URL('../../charts/registry-operator', import.meta.url));

/** Name and namespace of the release that {@link renderChart} renders. */
export const RELEASE = { name: 'op', namespace: 'operators' } as const;

/** Oldest and newest Kubernetes that the chart is rendered for. */
export const KUBE_VERSIONS = ['1.31.0', '1.34.4'] as const;

/** Values of the chart, nested. */
export type Values = Readonly<Record<string, unknown>>;

/**
 * Renders the chart with real Helm.
 *
 * @throws Error with Helm's words when Helm refuses the values
 */
export async function renderChart(values: Values = {}, kubeVersion = '1.34.4'): Promise<KubeObject[]> {
  const text = await helm('template', values, ['--kube-version', kubeVersion]);
  return parseAllDocuments(text).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw problem;
    return (document.toJS() ?? []) as KubeObject | [];
  });
}

/**
 * Installs the chart as one of its users would, without waiting for pods.
 *
 * @returns the text that Helm shows after the install
 */
export async function installChart(kubeconfig: string, values: Values = {}): Promise<string> {
  const options = [`--kubeconfig=${kubeconfig}`, '--create-namespace', '--output=json'];
  const release = JSON.parse(await helm('install', values, options)) as { info: { notes: string } };
  return release.info.notes;
}

/** Removes the release of {@link installChart}. */
export async function uninstallChart(kubeconfig: string): Promise<void> {
  await run(toolPath('helm'), [
    'uninstall',
    RELEASE.name,
    `--namespace=${RELEASE.namespace}`,
    `--kubeconfig=${kubeconfig}`,
  ]);
}

async function helm(verb: 'template' | 'install', values: Values, options: string[]): Promise<string> {
  const child = run(
    toolPath('helm'),
    [verb, RELEASE.name, CHART, `--namespace=${RELEASE.namespace}`, '--values=-', ...options],
    { maxBuffer: 1 << 25 },
  );
  child.child.stdin?.end(JSON.stringify(values));
  return (await child).stdout;
}

/** The only object of a kind. */
export function only(objects: readonly KubeObject[], kind: string): KubeObject {
  const found = objects.filter((object) => object.kind === kind);
  const [object] = found;
  if (object === undefined || found.length > 1) throw new Error(`${found.length} objects of kind ${kind}`);
  return object;
}
