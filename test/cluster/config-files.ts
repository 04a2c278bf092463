import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { CLUSTER_DOMAIN, CNI_PLUGINS, NODE_NAME, PAUSE_IMAGE, type ClusterSettings } from './settings.ts';

/** Name under which `dir-provisioner` (tools/cmd/kube/provisioner.go) serves claims. */
const PROVISIONER = 'test-cluster.local/dir';

/** Writes the configuration of the node's programs to `<dir>/etc`. */
export async function writeConfigFiles(settings: ClusterSettings): Promise<void> {
  const etc = join(settings.dir, 'etc');
  await mkdir(join(etc, 'cni'), { recursive: true });
  await mkdir(join(etc, 'certs.d'), { recursive: true });
  const files: Record<string, string> = {
    'containerd.toml': containerd(settings),
    'cni/10-ptp.conflist': JSON.stringify(network(settings)),
    'resolv.conf': '',
    'kubelet.yaml': stringify(kubelet(settings)),
    'kube-proxy.yaml': stringify(kubeProxy(settings)),
    'addons.yaml': addons()
      .map((object) => stringify(object))
      .join('---\n'),
  };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(etc, name), text)));
}

/** containerd reads `certs.d` at every pull, so that a new `hosts.toml` needs no restart. */
function containerd({ dir }: ClusterSettings): string {
  const unused = [
    'io.containerd.snapshotter.v1.aufs',
    'io.containerd.snapshotter.v1.btrfs',
    'io.containerd.snapshotter.v1.devmapper',
    'io.containerd.snapshotter.v1.zfs',
    'io.containerd.internal.v1.opt',
    'io.containerd.tracing.processor.v1.otlp',
    'io.containerd.internal.v1.tracing',
  ];
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${dir}/containerd"
state = "/run/containerd"
disabled_plugins = ${JSON.stringify(unused)}
[grpc]
  address = "${dir}/containerd.sock"
[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true # lowering oom_score_adj needs CAP_SYS_RESOURCE
[${cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
[${cri}.cni]
  bin_dir = "${CNI_PLUGINS}"
  conf_dir = "${dir}/etc/cni"
[${cri}.registry]
  config_path = "${dir}/etc/certs.d"
`;
}

/**
 * `ptp` routes every packet through the node, so that services work between pods of one node without br_netfilter.
 * Nothing is masqueraded: pods reach only the node, each other and the host's end of the link.
 */
function network({ podCIDR }: ClusterSettings): object {
  const ipam = {
    type: 'host-local',
    dataDir: '/run/cni-ipam',
    ranges: [[{ subnet: podCIDR }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      { type: 'ptp', ipMasq: false, mtu: 1500, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

function kubelet({ dir, nodeIP, cgroup }: ClusterSettings): object {
  const pki = join(dir, 'pki');
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeIP,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(pki, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: join(pki, 'kubelet.crt'),
    tlsPrivateKeyFile: join(pki, 'kubelet.key'),
    containerRuntimeEndpoint: `unix://${dir}/containerd.sock`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    oomScoreAdj: 0,
    makeIPTablesUtilChains: false,
    clusterDNS: [nodeIP],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: join(dir, 'etc', 'resolv.conf'),
    serializeImagePulls: false,
    registryPullQPS: 0,
    eventRecordQPS: 0,
    // A changed Secret or ConfigMap reaches its volume within this; the default of a minute is long for tests.
    syncFrequency: '3s',
    // A full disk must not evict pods of tests; images are few and never collected.
    evictionHard: {
      'memory.available': '50Mi',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.inodesFree': '0%',
    },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    volumePluginDir: '/run/kubelet-plugins',
    shutdownGracePeriod: '0s',
  };
}

function kubeProxy({ dir, nodeIP, podCIDR }: ClusterSettings): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'nftables',
    bindAddress: nodeIP,
    hostnameOverride: NODE_NAME,
    clusterCIDR: podCIDR,
    clientConnection: { kubeconfig: join(dir, 'etc', 'kube-proxy.kubeconfig') },
    oomScoreAdj: 0,
    nftables: { minSyncPeriod: '100ms' },
    // These sysctls belong to the machine, not to the node's network namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

/** The default storage class, and the permissions of the two programs that are not part of Kubernetes. */
function addons(): object[] {
  const storageClass = {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      name: 'standard',
      annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
    },
    provisioner: PROVISIONER,
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'WaitForFirstConsumer',
  };
  const dnsRole = {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'system:cluster-dns' },
    rules: [
      { apiGroups: [''], resources: ['services'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  };
  return [
    storageClass,
    dnsRole,
    roleBinding('system:cluster-dns', 'system:cluster-dns'),
    roleBinding('system:dir-provisioner', 'system:persistent-volume-provisioner'),
  ];
}

function roleBinding(user: string, role: string): object {
  const apiGroup = 'rbac.authorization.k8s.io';
  return {
    apiVersion: `${apiGroup}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: user },
    roleRef: { apiGroup, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup, kind: 'User', name: user }],
  };
}
