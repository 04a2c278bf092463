import { read, readList } from '../read.ts';

/** Volumes that the restricted Pod Security Standard allows. */
const VOLUME_TYPES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);

const HOST_NAMESPACES = ['hostNetwork', 'hostPID', 'hostIPC'];

/**
 * What the restricted Pod Security Standard (Kubernetes 1.34, baseline included) finds wrong with a Pod.
 *
 * @param spec a PodSpec
 */
export function restrictedFaults(spec: unknown): string[] {
  const volumes = readList(spec, 'volumes').flatMap((volume) => Object.keys(Object(volume)));
  const containers = ['containers', 'initContainers', 'ephemeralContainers'].flatMap((list) =>
    readList(spec, list),
  );
  return [
    ...HOST_NAMESPACES.filter((name) => read(spec, name) === true),
    ...volumes.filter((name) => name !== 'name' && !VOLUME_TYPES.has(name)).map((name) => `volume ${name}`),
    ...containers.flatMap((container) => containerFaults(spec, container)),
  ];
}

function containerFaults(spec: unknown, container: unknown): string[] {
  const of = (...path: string[]) =>
    read(container, 'securityContext', ...path) ?? read(spec, 'securityContext', ...path);
  const own = (...path: string[]) => read(container, 'securityContext', ...path);
  const rules: [string, boolean][] = [
    ['privileged', own('privileged') !== true],
    ['allowPrivilegeEscalation', own('allowPrivilegeEscalation') === false],
    ['runAsNonRoot', of('runAsNonRoot') === true],
    ['runAsUser', of('runAsUser') !== 0],
    ['seccompProfile', ['RuntimeDefault', 'Localhost'].includes(String(of('seccompProfile', 'type')))],
    ['capabilities.drop', readList(own('capabilities'), 'drop').includes('ALL')],
    ['capabilities.add', readList(own('capabilities'), 'add').every((name) => name === 'NET_BIND_SERVICE')],
    ['procMount', (own('procMount') ?? 'Default') === 'Default'],
    ['hostPorts', readList(container, 'ports').every((port) => read(port, 'hostPort') === undefined)],
  ];
  return rules.filter(([, holds]) => !holds).map(([name]) => name);
}
