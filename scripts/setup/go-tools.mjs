import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { fingerprint } from './fingerprint.mjs';
import { findGo, requireDisk } from './machine.mjs';
import { CACHE, ROOT } from './paths.mjs';
import { runLogged } from './process.mjs';
import { provide } from './tool-store.mjs';

/** Programs that are built from a published module; `file` is what Go calls one. The longest build comes last. */
const PROGRAMS = [
  { name: 'crane', version: 'v0.22.1', package: 'github.com/google/go-containerregistry/cmd/crane' },
  { name: 'regctl', version: 'v0.11.7', package: 'github.com/regclient/regclient/cmd/regctl' },
  { name: 'versitygw', version: 'v1.7.0', package: 'github.com/versity/versitygw/cmd/versitygw' },
  {
    name: 'distribution',
    version: 'v3.1.2',
    package: 'github.com/distribution/distribution/v3/cmd/registry',
    file: 'registry',
  },
  { name: 'helm', version: 'v3.22.0', package: 'helm.sh/helm/v3/cmd/helm' },
  { name: 'cosign', version: 'v3.1.3', package: 'github.com/sigstore/cosign/v3/cmd/cosign' },
];

/** Puts load on registries for `npm run bench`. */
const LOADGEN_MODULE = 'test/bench/loadgen';
const KUBE_MODULE = 'test/cluster/tools';
/** Programs that the binary `kube` becomes when it is called by their names. */
const KUBE_PROGRAMS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-proxy',
  'kube-scheduler',
  'kubectl',
  'kubelet',
];
const FLAGS = { CGO_ENABLED: '0', GOFLAGS: '-trimpath -buildvcs=false' };
/** The compiler's own garbage collection costs a sixth of a build at the default of 100. */
const BUILD_GOGC = '400';
/** Modules and the build cache of a first build. */
const BUILD_GIBIBYTES = 8;

/**
 * Builds the Go programs that tests run, one after the other; a program is built once per version of it and of Go.
 *
 * @param {{nice: boolean}} options
 * @returns {Promise<boolean>} whether anything was built
 */
export async function installGoTools({ nice }) {
  const go = await findGo();
  const build = builder(go, nice);
  const made = [];
  for (const program of PROGRAMS) {
    made.push(await provideProgram(program, go, build));
  }
  made.push(await provideLoadgen(go, build));
  made.push(await provideKube(go, build));
  return made.includes(true);
}

/** Builds what the benchmark runs, and nothing else. */
export async function installBenchTools() {
  const go = await findGo();
  const build = builder(go, false);
  const distribution = PROGRAMS.find(({ name }) => name === 'distribution');
  await provideProgram(distribution, go, build);
  await provideLoadgen(go, build);
}

function builder(go, nice) {
  return (args, name, more = {}) => {
    requireDisk(CACHE, BUILD_GIBIBYTES, 'building test tools');
    const env = { ...process.env, ...FLAGS, GOGC: BUILD_GOGC, ...more.env };
    const log = join(CACHE, 'logs', `build-${name}.log`);
    return runLogged(go.path, args, { log, env, nice, cwd: more.cwd });
  };
}

function provideLoadgen(go, build) {
  const tool = {
    key: `loadgen-${fingerprint([LOADGEN_MODULE], Object.values(FLAGS))}-${go.version}`,
    programs: { loadgen: 'loadgen' },
    title: 'building the load generator',
  };
  return provide(tool, (folder) =>
    build(['build', '-o', join(folder, 'loadgen'), '.'], 'loadgen', { cwd: join(ROOT, LOADGEN_MODULE) }),
  );
}

function provideProgram({ name, version, package: path, file = name }, go, build) {
  const tool = {
    key: `${name}-${version}-${go.version}`,
    programs: { [name]: file },
    title: `building ${name} ${version} (first time only)`,
  };
  return provide(tool, (folder) =>
    build(['install', `${path}@${version}`], name, { env: { GOBIN: folder } }),
  );
}

function provideKube(go, build) {
  const version = kubernetesVersion();
  const flags = ['-ldflags', linkerFlags(version)];
  const sources = ['cmd', 'go.mod', 'go.sum'].map((path) => `${KUBE_MODULE}/${path}`);
  const tool = {
    key: `kube-${version}-${fingerprint(sources, [...flags, ...Object.values(FLAGS)])}-${go.version}`,
    programs: {
      ...Object.fromEntries(['kube', ...KUBE_PROGRAMS].map((name) => [name, 'kube'])),
      pause: 'pause',
      testapp: 'testapp',
    },
    title: `building Kubernetes ${version} (first time only, about five minutes)`,
  };
  return provide(tool, async (folder) => {
    const cwd = join(ROOT, KUBE_MODULE);
    mkdirSync(folder, { recursive: true });
    await build(['build', ...flags, '-o', `${folder}/`, './cmd/kube'], 'kube', { cwd });
    await build(['build', '-ldflags', '-s -w', '-o', `${folder}/`, './cmd/pause', './cmd/testapp'], 'pods', {
      cwd,
    });
  });
}

function kubernetesVersion() {
  const text = readFileSync(join(ROOT, KUBE_MODULE, 'go.mod'), 'utf8');
  return /^\s*k8s\.io\/kubernetes (v\S+)$/m.exec(text)[1];
}

/** What `kubectl version` and the API server's /version say. */
function linkerFlags(version) {
  const values = {
    gitVersion: version,
    gitMajor: '1',
    gitMinor: version.split('.')[1],
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  const set = packages.flatMap((path) =>
    Object.entries(values).map(([key, value]) => `-X ${path}.${key}=${value}`),
  );
  return ['-s', '-w', ...set].join(' ');
}
