/** Names that the operator, the registry server, the chart and users' manifests share. */

export const GROUP = 'registry-operator.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const REGISTRY_KIND = 'Registry';
export const REGISTRY_PLURAL = 'registries';

/** Keeps a Registry until the operator has decided what happens to its volume. */
export const FINALIZER = `${GROUP}/finalizer`;

/** Value of `app.kubernetes.io/managed-by` on every object that the operator makes. */
export const MANAGED_BY = 'registry-operator';

export const LABELS = {
  managedBy: 'app.kubernetes.io/managed-by',
  name: 'app.kubernetes.io/name',
  instance: 'app.kubernetes.io/instance',
  component: 'app.kubernetes.io/component',
  /** Name of the Registry that an object belongs to. */
  registry: `${GROUP}/registry`,
} as const;

export const ANNOTATIONS = {
  /** Hash of the desired object at the last apply; see the no-write rule in docs/architecture.md. */
  appliedHash: `${GROUP}/applied-hash`,
  /** On the Pod template: hash of the settings that take effect only at a restart. */
  restartHash: `${GROUP}/restart-hash`,
} as const;

/** Ports inside the Pod; the Service uses the same. */
export const PORTS = { registry: 5000, ops: 9090, operatorOps: 8080 } as const;
