import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { requireDebian, requireDisk, requireRoot } from './machine.mjs';
import { CACHE } from './paths.mjs';
import { capture, runLogged } from './process.mjs';
import { reporter, SetupError } from './report.mjs';

/** Debian packages by the reason for them. */
const PACKAGES = {
  'to run a Kubernetes node': [
    'containerd',
    'runc',
    'containernetworking-plugins',
    'nftables',
    'iptables',
    'iproute2',
  ],
  'to start and look at processes': ['procps', 'util-linux', 'curl', 'openssl'],
  'registry clients': ['skopeo', 'docker.io', 'buildah', 'podman', 'apache2-utils'],
  'another registry, to read and write its folders': ['docker-registry'],
  'an S3 server (Ceph)': ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common'],
  'to check metrics': ['prometheus'],
};

const POLICY = '/usr/sbin/policy-rc.d';
const POLICY_ASIDE = `${POLICY}.registry-operator`;

/**
 * Installs the Debian packages that are missing, without starting any of their services.
 *
 * @param {{nice: boolean, only?: string[]}} options `only`: of all packages, these
 * @returns {Promise<boolean>} whether anything was installed
 */
export async function installDebianPackages({ nice, only = Object.values(PACKAGES).flat() }) {
  requireDebian();
  const missing = await missingPackages(only);
  if (missing.length === 0) {
    return false;
  }
  const list = missing.join(' ');
  requireRoot(`installing Debian packages (${list})`);
  requireDisk('/var/cache/apt', 2, 'installing Debian packages');
  for (const [reason, packages] of Object.entries(PACKAGES)) {
    const some = packages.filter((name) => missing.includes(name));
    if (some.length > 0) {
      reporter.say(`  will install ${some.join(' ')}: ${reason}`);
    }
  }
  await reporter.step(`installing ${missing.length} Debian packages with apt-get`, () =>
    install(missing, nice),
  );
  return true;
}

async function missingPackages(names) {
  // The status of a package that dpkg has never heard of is an error, which says nothing more than its absence.
  const { stdout } = await capture('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Package}\n', ...names]);
  const installed = new Set(stdout.split('\n'));
  return names.filter((name) => !installed.has(`installed ${name}`));
}

async function install(missing, nice) {
  if (!(await haveCandidates(missing))) {
    await update(nice);
  }
  await withoutServices(async () => {
    try {
      await aptGet(['install', '--yes', '--no-install-recommends', ...missing], 'apt-install', nice);
    } catch {
      // Package lists that are older than the mirror name files that are gone.
      await update(nice);
      await aptGet(['install', '--yes', '--no-install-recommends', ...missing], 'apt-install', nice);
    }
  });
}

async function haveCandidates(names) {
  const { stdout } = await capture('apt-cache', ['policy', ...names], {
    env: { ...process.env, LC_ALL: 'C' },
  });
  return (stdout.match(/Candidate: (?!\(none\))/g) ?? []).length === names.length;
}

async function update(nice) {
  try {
    await aptGet(['update'], 'apt-update', nice);
  } catch (error) {
    // One unreachable third-party source fails the whole update; the packages may be there all the same.
    reporter.say(`  apt-get update reports problems, going on: ${error.message.split('\n').at(-2) ?? ''}`);
  }
}

function aptGet(args, log, nice) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Dpkg::Options::=--force-confold'];
  return runLogged('apt-get', [...options, ...args], { log: join(CACHE, 'logs', `${log}.log`), env, nice });
}

/** Runs `action` while packages may not start services, and puts the machine's own policy back whatever happens. */
async function withoutServices(action) {
  if (existsSync(POLICY_ASIDE)) {
    throw new SetupError(
      `${POLICY_ASIDE} exists, another installation runs or was killed; move it back to ${POLICY}`,
    );
  }
  const had = existsSync(POLICY);
  if (had) {
    renameSync(POLICY, POLICY_ASIDE);
  }
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  const restore = () => (had ? renameSync(POLICY_ASIDE, POLICY) : rmSync(POLICY, { force: true }));
  process.once('exit', restore);
  try {
    await action();
  } finally {
    process.off('exit', restore);
    restore();
  }
}
