import { randomBytes } from 'node:crypto';

import { ANNOTATIONS, LABELS, MANAGED_BY } from '../../../api/group.ts';
import type { ControllerContext, ControllerDefinition } from '../../controller/context.ts';
import { Applier } from '../../kube/apply.ts';
import { KINDS } from '../../kube/kinds.ts';
import { formatKey, type IndexedStore, keyOf } from '../../kube/store.ts';
import type { KubeObject, ResourceKind, Store } from '../../kube/types.ts';
import { CertificateIssuer } from './gather-certificate.ts';
import { OWNED_KINDS, REGISTRY } from './gather-kinds.ts';
import { ReferenceReader } from './gather-references.ts';
import { BY_REGISTRY, type GatherSources } from './gather.ts';
import { FIELD_MANAGER, type ReconcileDeps } from './reconcile-deps.ts';
import { RegistryMemory } from './reconcile-memory.ts';
import { reconcileRegistry } from './reconcile.ts';
import type { OwnedKind } from './resources/inventory.ts';
import { type References, referencesOf } from './resources/references.ts';

/** Everything that the operator has made carries this label; nothing else is read in full. */
const OURS = `${LABELS.managedBy}=${MANAGED_BY}`;

/** Indexes of Registries by what they refer to. */
const REFERENCES: readonly (keyof References)[] = ['secrets', 'configMaps', 'claims'];

/** Reconciles Registries. */
export function createRegistryController(
  context: ControllerContext,
  randomness: (size: number) => Uint8Array = randomBytes,
): ControllerDefinition {
  const { client, clock, config, events, fetch } = context;
  const registries = reflectRegistries(context);
  const deps: ReconcileDeps = {
    client,
    clock,
    config,
    events,
    fetch,
    registries,
    memory: new RegistryMemory(),
    issuer: new CertificateIssuer(randomness),
    applier: new Applier({ client, fieldManager: FIELD_MANAGER, annotation: ANNOTATIONS.appliedHash }),
    owned: reflectOwned(context, registries),
    pods: reflectPods(context),
    references: reflectReferences(context, registries),
  };
  return { name: 'registry', reconcile: (key, signal) => reconcileRegistry(key, deps, signal) };
}

function reflectRegistries(context: ControllerContext): IndexedStore {
  const indexers = REFERENCES.map(
    (name) => [name, (registry: KubeObject) => referenceKeys(registry, name)] as const,
  );
  return context.reflect({
    kind: REGISTRY,
    indexers: Object.fromEntries(indexers),
    keys: (registry) => [keyOf(registry)],
  });
}

function referenceKeys(registry: KubeObject, name: keyof References): string[] {
  const { namespace } = registry.metadata;
  return referencesOf(registry)[name].map((referenced) => formatKey({ namespace, name: referenced }));
}

function reflectOwned(context: ControllerContext, registries: Store): Record<OwnedKind, Store> {
  const selection = { labelSelector: OURS, keys: keysByLabel };
  const reflect = (kind: ResourceKind): Store => context.reflect({ kind, ...selection });
  const onPresence = (): void => {
    for (const registry of registries.list()) context.queueAdd(keyOf(registry));
  };
  return {
    Service: reflect(OWNED_KINDS.Service),
    ServiceAccount: reflect(OWNED_KINDS.ServiceAccount),
    PersistentVolumeClaim: reflect(OWNED_KINDS.PersistentVolumeClaim),
    Secret: reflect(OWNED_KINDS.Secret),
    ConfigMap: reflect(OWNED_KINDS.ConfigMap),
    Deployment: reflect(OWNED_KINDS.Deployment),
    PodDisruptionBudget: reflect(OWNED_KINDS.PodDisruptionBudget),
    ServiceMonitor: context.reflect({
      kind: OWNED_KINDS.ServiceMonitor,
      ...selection,
      optional: true,
      onPresence,
    }),
  };
}

function reflectPods(context: ControllerContext): IndexedStore {
  return context.reflect({
    kind: KINDS.pod,
    labelSelector: `${OURS},${LABELS.registry}`,
    indexers: { [BY_REGISTRY]: keysByLabel },
    keys: keysByLabel,
  });
}

/** Objects of users: only their metadata is watched, and a change wakes the Registries that refer to them. */
function reflectReferences(
  context: ControllerContext,
  registries: IndexedStore,
): GatherSources['references'] {
  const reader = (kind: ResourceKind, index: keyof References): ReferenceReader => {
    const keys = (object: KubeObject): string[] => registries.byIndex(index, keyOf(object)).map(keyOf);
    const metadata = context.reflect({ kind, metadataOnly: true, keys });
    return new ReferenceReader(context.client, kind, metadata);
  };
  return {
    secrets: reader(KINDS.secret, 'secrets'),
    configMaps: reader(KINDS.configMap, 'configMaps'),
    claims: reader(KINDS.persistentVolumeClaim, 'claims'),
  };
}

/** Key of the Registry that an object's labels name. */
function keysByLabel({ metadata }: KubeObject): string[] {
  const name = metadata.labels?.[LABELS.registry];
  return name === undefined ? [] : [formatKey({ namespace: metadata.namespace, name })];
}
