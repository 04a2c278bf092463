import type { Registry } from '../../../api/v1alpha1/registry.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { ControllerConfig } from '../../controller/context.ts';
import { KINDS } from '../../kube/kinds.ts';
import { formatKey, type IndexedStore } from '../../kube/store.ts';
import type { KubeClient, KubeObject, Store } from '../../kube/types.ts';
import { liveObject } from './checks/ownership.ts';
import type { CertificateFacts, DataByKey, Facts } from './facts.ts';
import { certificateOfSecret, type CertificateIssuer } from './gather-certificate.ts';
import { decodeData } from './gather-data.ts';
import { OWNED_KINDS } from './gather-kinds.ts';
import { gatherPods } from './gather-pods.ts';
import type { ReferenceReader } from './gather-references.ts';
import { readList } from './read.ts';
import { inventory, type InventoryItem, type OwnedKind } from './resources/inventory.ts';
import { objectNames } from './resources/names.ts';
import { isOurs } from './resources/ownership.ts';
import { referencesOf } from './resources/references.ts';

/** Name of the index of pods by the key of their Registry. */
export const BY_REGISTRY = 'registry';

/** Where facts come from. */
export interface GatherSources {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly config: ControllerConfig;
  readonly fetch: typeof globalThis.fetch;
  readonly issuer: CertificateIssuer;
  /** Objects with the operator's label. */
  readonly owned: Readonly<Record<OwnedKind, Store>>;
  readonly pods: IndexedStore;
  readonly references: {
    readonly secrets: ReferenceReader;
    readonly configMaps: ReferenceReader;
    readonly claims: ReferenceReader;
  };
}

/**
 * Reads everything that decides what a Registry should be. The caches answer for what they have seen; what they
 * lack is asked for, since it may be too new, or belong to somebody else and so carry no label of ours.
 */
export async function gather(
  registry: Registry,
  sources: GatherSources,
  signal: AbortSignal,
): Promise<Facts> {
  const { client, clock, config, fetch } = sources;
  const reader: Reader = { registry, sources, signal };
  const references = await readReferences(reader);
  const fromSecret = certificateOfSecret(references.secrets[registry.spec.tls.secretRef?.name ?? '']);
  const serves = { serviceMonitor: await client.serves(KINDS.serviceMonitor, { signal }) };
  const live = await readLive(reader, { serves, certificate: fromSecret });
  const service = serviceFacts(registry, live);
  const certificate = fromSecret ?? (await issuedCertificate(reader, live, service?.clusterIPs ?? []));
  const key = formatKey(registry.metadata);
  const { operandImage: image, version, clusterDomain } = config;
  return {
    now: clock.now(),
    operator: { image, version, clusterDomain },
    service,
    certificate,
    ...references,
    live,
    serves,
    pods: await gatherPods(sources.pods.byIndex(BY_REGISTRY, key), { fetch, signal }),
  };
}

interface Reader {
  readonly registry: Registry;
  readonly sources: GatherSources;
  readonly signal: AbortSignal;
}

async function readReferences(
  reader: Reader,
): Promise<Pick<Facts, 'secrets' | 'configMaps' | 'existingClaim'>> {
  const { registry, sources, signal } = reader;
  const { namespace } = registry.metadata;
  const { secrets, configMaps, claims } = sources.references;
  const names = referencesOf(registry);
  const [claim] = names.claims;
  return {
    secrets: await readAll(reader, secrets, names.secrets),
    configMaps: await readAll(reader, configMaps, names.configMaps),
    existingClaim: claim === undefined ? undefined : await claims.get({ namespace, name: claim }, { signal }),
  };
}

async function readAll(
  { registry, signal }: Reader,
  reader: ReferenceReader,
  names: readonly string[],
): Promise<Record<string, DataByKey | undefined>> {
  const { namespace } = registry.metadata;
  const objects = await Promise.all(names.map((name) => reader.get({ namespace, name }, { signal })));
  return Object.fromEntries(
    objects.map((object, index) => [names[index] ?? '', object && decodeData(object)]),
  );
}

async function readLive(
  { registry, sources, signal }: Reader,
  facts: Pick<Facts, 'serves' | 'certificate'>,
): Promise<KubeObject[]> {
  const { namespace } = registry.metadata;
  const readOne = async ({ kind, name, wanted }: InventoryItem): Promise<KubeObject | undefined> => {
    const cached = sources.owned[kind].get({ namespace, name });
    if (cached !== undefined || !wanted) return cached;
    return sources.client.get(OWNED_KINDS[kind], { namespace, name }, { signal });
  };
  const objects = await Promise.all(inventory(registry, facts).map((item) => readOne(item)));
  return objects.filter((object) => object !== undefined);
}

function serviceFacts(registry: Registry, live: readonly KubeObject[]): Facts['service'] {
  const { base } = objectNames(registry.metadata.name);
  const service = liveObject({ live }, { kind: 'Service', name: base });
  if (service === undefined || !isOurs(registry, service)) return undefined;
  return { clusterIPs: readList(service, 'spec', 'clusterIPs').map(String) };
}

/** The certificate that the operator issues; undefined while it cannot, and when nobody would store it. */
async function issuedCertificate(
  { registry, sources, signal }: Reader,
  live: readonly KubeObject[],
  clusterIPs: readonly string[],
): Promise<CertificateFacts | undefined> {
  const { spec, metadata } = registry;
  if (spec.tls.type !== 'SelfSigned' || clusterIPs.length === 0) return undefined;
  const names = objectNames(metadata.name);
  const cached = {
    ca: liveObject({ live }, { kind: 'Secret', name: names.ca }),
    tls: liveObject({ live }, { kind: 'Secret', name: names.tls }),
  };
  const isForeign = [cached.ca, cached.tls].some(
    (secret) => secret !== undefined && !isOurs(registry, secret),
  );
  if (isForeign) return undefined;
  if (spec.paused === true) return certificateOfSecret(decodeData(cached.tls));
  const readSecret = async (name: string): Promise<KubeObject | undefined> => {
    const secret = await sources.client.get(
      KINDS.secret,
      { namespace: metadata.namespace, name },
      { signal },
    );
    return secret !== undefined && isOurs(registry, secret) ? secret : undefined;
  };
  return sources.issuer.issue({
    registry,
    clusterIPs,
    clusterDomain: sources.config.clusterDomain,
    now: sources.clock.now(),
    cached,
    readLive: async () => ({ ca: await readSecret(names.ca), tls: await readSecret(names.tls) }),
  });
}
