import type { KubeObject } from '../../kube/types.ts';

/** Values of a Secret or ConfigMap by key, decoded. */
export type DataByKey = Readonly<Record<string, Uint8Array>>;

/** What can be read from a certificate and its key. */
export interface CertificateInfo {
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DNS names and IP addresses of the leaf. */
  readonly names: readonly string[];
  /** Of the leaf's DER bytes, 64 lower case hexadecimal digits. */
  readonly sha256Fingerprint: string;
  readonly keyMatches: boolean;
}

/** The certificate that the pods serve. */
export interface CertificateFacts {
  /** PEM chain, leaf first. */
  readonly certificate: string;
  /** PEM private key. */
  readonly key: string;
  /** PEM bundle of the CAs that clients have to trust; unset when the user's Secret names none. */
  readonly caCertificate?: string | undefined;
  /** PEM of the CA that signs; set only when the operator is the CA. */
  readonly authority?: { readonly certificate: string; readonly key: string } | undefined;
  /** Unset when the PEMs cannot be parsed. */
  readonly info?: CertificateInfo | undefined;
  /** When the operator replaces the leaf; unset for the user's certificates. */
  readonly renewalTime?: Date | undefined;
}

/** What one pod says of itself. */
export interface PodFacts {
  readonly name: string;
  /** `loadedHash` of `/readyz?verbose`; unset when the pod did not answer. */
  readonly loadedHash?: string | undefined;
  /** Version of the server that runs in it. */
  readonly version?: string | undefined;
  /** Why its container does not run, such as `ImagePullBackOff: …`. */
  readonly problem?: string | undefined;
}

/** Everything that the pure part of the controller knows about the world, as plain data. */
export interface Facts {
  readonly now: Date;
  readonly operator: {
    /** Image of the registry server when the Registry names none. */
    readonly image: string;
    readonly version: string;
    /** `cluster.local` in most clusters. */
    readonly clusterDomain: string;
  };
  /** The Service of this Registry, once it exists. */
  readonly service?: { readonly clusterIPs: readonly string[] } | undefined;
  /** Unset until it can be issued, or while the user's Secret is missing or lacks a key. */
  readonly certificate?: CertificateFacts | undefined;
  /** Referenced Secrets by name; a name without a value does not exist. */
  readonly secrets: Readonly<Record<string, DataByKey | undefined>>;
  /** Referenced ConfigMaps by name. */
  readonly configMaps: Readonly<Record<string, DataByKey | undefined>>;
  /** The claim that `existingClaim` names. */
  readonly existingClaim?: KubeObject | undefined;
  /** Objects of the names that this Registry uses, its own and foreign ones. */
  readonly live: readonly KubeObject[];
  /** Kinds of optional APIs that the cluster serves. */
  readonly serves: { readonly serviceMonitor: boolean };
  /** Oldest first, without those that are on their way out. */
  readonly pods: readonly PodFacts[];
}
