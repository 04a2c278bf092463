#!/usr/bin/env bash
# PID 1 of the node's namespaces (mount, pid, network, uts, ipc): prepares its mounts and its network, then keeps the
# components running. cluster.ts starts it with everything below in the environment; ending it ends every process,
# pod, mount, network namespace and firewall rule of the cluster.
#
#   CLUSTER_DIR PROGRAMS_DIR NODE_NAME NODE_IP HOST_IP SERVICE_CIDR CLUSTER_DOMAIN CGROUP
#   OWNED   "yes": the node ends when its standard input does, so that it never outlives the tests that started it
set -euo pipefail
pki=$CLUSTER_DIR/pki etc=$CLUSTER_DIR/etc
log() { printf '%s %s\n' "$(date +%T.%N | cut -c1-12)" "$*"; }

# --- mounts: private to this namespace ---------------------------------------
hostname "$NODE_NAME"
# A sysfs of this network namespace, with the machine's control groups back on it.
mkdir -p "$CLUSTER_DIR/tmp/cgroup"
mount --rbind /sys/fs/cgroup "$CLUSTER_DIR/tmp/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$CLUSTER_DIR/tmp/cgroup" /sys/fs/cgroup
umount -l "$CLUSTER_DIR/tmp/cgroup"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
[ -L /var/run ] || mount --rbind /run /var/run
bind() { mkdir -p "$1" "$2"; mount --bind "$1" "$2"; }
bind "$CLUSTER_DIR/var-log" /var/log
bind "$CLUSTER_DIR/kubelet" /var/lib/kubelet
bind "$CLUSTER_DIR/tmp/cni" /var/lib/cni
# kubelet sets these sysctls of the whole machine when they differ: show it what it wants to see.
for kv in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
  kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
  f=/run/sysctl/${kv%%=*}
  mkdir -p "$(dirname "$f")"
  echo "${kv#*=}" >"$f"
  [ ! -e "/proc/sys/${kv%%=*}" ] || mount --bind "$f" "/proc/sys/${kv%%=*}"
done
mount --make-rshared / # so that volumes with mountPropagation work

# Every process of the node that is not a pod lives in the group "system".
for c in /sys/fs/cgroup/{cpu,cpuacct,memory,pids,blkio,freezer,devices,systemd}/"$CGROUP" /sys/fs/cgroup/"$CGROUP"; do
  [ -d "$c" ] && mkdir -p "$c/system" && echo $$ >"$c/system/cgroup.procs" || true
done

# --- network -----------------------------------------------------------------
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
ip addr add "$NODE_IP/30" dev eth0
ip link set eth0 up
# No default route: only service addresses need one, to reach kube-proxy's rules.
ip route add "$SERVICE_CIDR" via "$HOST_IP" dev eth0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet

# --- components --------------------------------------------------------------
# run NAME COMMAND...: keeps it running. Its log is in $CLUSTER_DIR/logs, its pid inside this pid namespace in
# $CLUSTER_DIR/pids.
run() {
  local name=$1
  shift
  (
    while :; do
      log "start $name"
      "$@" >>"$CLUSTER_DIR/logs/$name.log" 2>&1 &
      echo $! >"$CLUSTER_DIR/pids/$name"
      wait $! && rc=0 || rc=$?
      log "$name ended ($rc)"
      sleep 0.5
    done
  ) </dev/null &
}
bin=$PROGRAMS_DIR
run containerd containerd --config "$etc/containerd.toml" --log-level warn
run etcd "$bin/etcd" --data-dir "$CLUSTER_DIR/etcd" --unsafe-no-fsync --log-level=warn \
  --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380
run kube-apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --bind-address=0.0.0.0 --advertise-address="$NODE_IP" --secure-port=6443 \
  --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true --profiling=false \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
  --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
  --kubelet-client-certificate="$pki/apiserver-kubelet.crt" --kubelet-client-key="$pki/apiserver-kubelet.key" \
  --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --enable-aggregator-routing=true \
  --proxy-client-cert-file="$pki/front-proxy.crt" --proxy-client-key-file="$pki/front-proxy.key" \
  --service-account-issuer="https://kubernetes.default.svc.$CLUSTER_DOMAIN" \
  --service-account-key-file="$pki/sa.key" --service-account-signing-key-file="$pki/sa.key"
api_ready() {
  curl -s --max-time 2 --cacert "$pki/ca.crt" --cert "$pki/admin.crt" --key "$pki/admin.key" \
    "https://$NODE_IP:6443/readyz" </dev/null | grep -qx ok
}
# kube-controller-manager gives up when the API is not there within ten seconds.
until api_ready; do sleep 0.1; done
run kubelet "$bin/kubelet" --config="$etc/kubelet.yaml" --kubeconfig="$etc/kubelet.kubeconfig" \
  --hostname-override="$NODE_NAME" --node-ip="$NODE_IP" --v=1
# At the default rate of 20 requests a second it takes five seconds to start its controllers.
run kube-controller-manager "$bin/kube-controller-manager" --kubeconfig="$etc/kube-controller-manager.kubeconfig" \
  --leader-elect=false --bind-address=127.0.0.1 --use-service-account-credentials=true \
  --kube-api-qps=500 --kube-api-burst=1000 --profiling=false \
  --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
  --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key"
run kube-scheduler "$bin/kube-scheduler" --kubeconfig="$etc/kube-scheduler.kubeconfig" \
  --leader-elect=false --bind-address=127.0.0.1 --profiling=false --kube-api-qps=500 --kube-api-burst=1000
run kube-proxy "$bin/kube-proxy" --config="$etc/kube-proxy.yaml"
run cluster-dns "$bin/kube" cluster-dns --kubeconfig="$etc/cluster-dns.kubeconfig" \
  --listen="$NODE_IP:53" --domain="$CLUSTER_DOMAIN"
run dir-provisioner "$bin/kube" dir-provisioner --kubeconfig="$etc/dir-provisioner.kubeconfig" \
  --dir="$CLUSTER_DIR/volumes" --node="$NODE_NAME"

# bash collects orphans while it waits, whatever it waits for.
if [ "$OWNED" = yes ]; then
  while read -r _; do :; done
  log "the owner of the cluster has ended"
else
  while :; do
    wait || true
    sleep 1
  done
fi
