/**
 * Which part of `src/` may use which other part, as docs/architecture.md draws it. Paths are relative to `src/`.
 */
export interface Layer {
  readonly name: string;
  /** Files of the layer. A file belongs to the first layer that matches. */
  readonly files: RegExp;
  /** Other files of the project that it may use; its own files are always allowed. */
  readonly uses?: readonly RegExp[];
  /** Files of which it may use the types, by `import type`. */
  readonly usesTypes?: readonly RegExp[];
  /** Files that it may load by `import()`. */
  readonly loads?: readonly RegExp[];
  readonly packages?: readonly string[];
  /** Packages of which it may use the types. */
  readonly packageTypes?: readonly string[];
  /** Built-ins of Node that it may use; all of them but `deniedBuiltins` when missing. */
  readonly builtins?: readonly string[];
  readonly deniedBuiltins?: readonly string[];
}

/** The project's own package.json, for its version. */
const PACKAGE = /^\.\.\/package\.json$/;
const API = /^api\//;
const API_CONFIG = /^api\/(registry-config|loaded-hash)\.ts$/;
const SHARED = /^shared\//;
const STORAGE_PORT = /^registry\/storage\/(driver|errors)\.ts$/;
/** Parts that several drivers are made of, such as the pool of buffers. */
const STORAGE_PARTS = /^registry\/storage\/(?!create\.ts)[^/]+\.ts$/;
const DISTRIBUTION = /^registry\/distribution\//;
const AUTH = /^registry\/auth\//;
const KUBE = /^operator\/kube\//;
const KUBE_TYPES = /^operator\/kube\/types\.ts$/;
const PKI = /^operator\/pki\//;
const CONTROLLER = /^operator\/controller\//;
/** The files of a controller's folder that touch the world; every other one is pure. */
const EFFECTS = /^operator\/controllers\/[^/]+\/(gather|finalize|reconcile|index)(-[^/]+)?\.ts$/;
const PURE = /^operator\/controllers\/[^/]+\/(?!(gather|finalize|reconcile|index)(-[^/]+)?\.ts$)/;
const CONTROLLER_FACTS = /^operator\/controllers\/[^/]+\/(facts|placement|read)\.ts$/;

const FILE_SYSTEM = ['node:fs', 'node:fs/promises'];
const CLOUD_SDKS = ['@aws-sdk/', '@smithy/', '@azure/', '@google-cloud/', 'google-auth-library'];

/** Types of the declared metrics, and of the storage port, may be used all over the half that they belong to. */
const TYPES_OF_HALF: Readonly<Record<string, readonly RegExp[]>> = {
  registry: [/^registry\/metrics\.ts$/, /^registry\/storage\/driver\.ts$/],
  operator: [/^operator\/metrics\.ts$/],
};

export const LAYERS: readonly Layer[] = [
  { name: 'api', files: API, packages: ['zod'] },
  { name: 'shared', files: SHARED, uses: [PACKAGE], packages: ['pino', 'prom-client'] },

  { name: 'storage port', files: STORAGE_PORT, builtins: [] },
  {
    name: 'storage driver',
    files: /^registry\/storage\/drivers\//,
    uses: [STORAGE_PARTS, SHARED],
    usesTypes: [API_CONFIG],
    packages: CLOUD_SDKS,
  },
  { name: 'storage decorator', files: /^registry\/storage\/decorators\//, uses: [STORAGE_PARTS, SHARED] },
  {
    name: 'storage factory',
    files: /^registry\/storage\/create\.ts$/,
    uses: [STORAGE_PARTS, /^registry\/storage\/decorators\//, SHARED],
    usesTypes: [API_CONFIG, /^registry\/storage\/drivers\//],
    loads: [/^registry\/storage\/drivers\//],
  },
  { name: 'storage part', files: STORAGE_PARTS, uses: [STORAGE_PORT, SHARED] },
  {
    name: 'distribution',
    files: DISTRIBUTION,
    uses: [STORAGE_PORT, SHARED],
    usesTypes: [API],
    deniedBuiltins: FILE_SYSTEM,
  },
  {
    name: 'auth',
    files: AUTH,
    uses: [SHARED, /^registry\/distribution\/(reference|names)\.ts$/],
    usesTypes: [API],
    packages: ['jose', 'bcryptjs'],
    deniedBuiltins: FILE_SYSTEM,
  },
  {
    name: 'registry configuration',
    files: /^registry\/config\//,
    uses: [API, SHARED],
    packages: ['yaml'],
    packageTypes: ['zod'],
  },
  {
    name: 'http',
    files: /^registry\/http\//,
    uses: [DISTRIBUTION, AUTH, SHARED],
    usesTypes: [API_CONFIG],
    packages: ['fastify'],
  },
  { name: 'registry metrics', files: /^registry\/metrics\.ts$/, uses: [SHARED], packages: ['prom-client'] },
  { name: 'hash worker', files: /^registry\/hash-worker\.ts$/, uses: [SHARED], usesTypes: [DISTRIBUTION] },
  {
    name: 'processes of a server',
    files: /^registry\/processes\//,
    uses: [
      /^registry\/[^/]+\.ts$/,
      /^registry\/config\//,
      /^registry\/http\/listen-failed\.ts$/,
      API,
      SHARED,
    ],
    packages: ['prom-client'],
  },
  {
    name: 'registry root',
    files: /^registry\/[^/]+\.ts$/,
    uses: [/^registry\//, API, SHARED, PACKAGE],
    packages: ['fastify', 'pino', 'prom-client'],
  },

  { name: 'kube', files: KUBE, uses: [SHARED], packages: ['@kubernetes/client-node'] },
  { name: 'controller harness', files: CONTROLLER, uses: [SHARED], usesTypes: [KUBE] },
  { name: 'pki', files: PKI, uses: [SHARED], packages: ['@peculiar/x509', 'reflect-metadata'] },
  {
    name: 'resources',
    files: /^operator\/controllers\/[^/]+\/resources\//,
    uses: [API, /^shared\/(errors|assert|json)\.ts$/, CONTROLLER_FACTS],
    usesTypes: [KUBE_TYPES],
    packageTypes: ['@kubernetes/client-node'],
    builtins: ['node:crypto', 'node:path'],
  },
  {
    name: 'effects of a controller',
    files: EFFECTS,
    uses: [PURE, KUBE, CONTROLLER, PKI, API, SHARED],
    packageTypes: ['@kubernetes/client-node'],
  },
  {
    name: 'rules of a controller',
    files: PURE,
    uses: [API, /^shared\/(errors|assert|json)\.ts$/],
    usesTypes: [KUBE_TYPES, PKI],
    packageTypes: ['@kubernetes/client-node'],
    builtins: ['node:crypto', 'node:path'],
  },
  {
    name: 'operator without a cluster',
    files: /^operator\/local\//,
    uses: [PURE, PKI, API, SHARED],
    usesTypes: [KUBE_TYPES],
    packages: ['yaml'],
  },
  {
    name: 'operator root',
    files: /^operator\/[^/]+\.ts$/,
    uses: [/^operator\//, API, SHARED, PACKAGE],
    packages: ['prom-client', '@kubernetes/client-node'],
  },
];

/** Unit tests may use the whole of their half and what tests share. */
const TEST_LAYERS: readonly Layer[] = [
  { name: 'tests of the api', files: API, uses: [SHARED, /^\.\.\/test\/(helpers|fixtures)\//] },
  { name: 'tests of shared parts', files: SHARED, uses: [/^\.\.\/test\/(helpers|fixtures)\//] },
  {
    name: 'tests of the registry',
    files: /^registry\//,
    uses: [API, SHARED, /^\.\.\/test\/(helpers|fixtures|conformance)\//],
  },
  {
    name: 'tests of the operator',
    files: /^operator\//,
    uses: [API, SHARED, /^\.\.\/test\/(helpers|fixtures)\//],
  },
];

/** Whether the file is a unit test, or what unit tests of a folder share: `testing.ts`, `testing/samples.ts`. */
export function isForTests(path: string): boolean {
  return path.endsWith('.test.ts') || /(^|\/)testing(\/|\.ts$)/.test(path);
}

export function layerOf(path: string): Layer | undefined {
  return (isForTests(path) ? TEST_LAYERS : LAYERS).find((layer) => layer.files.test(path));
}

/** Files whose types this file may use, whatever its layer. */
export function typesOfHalf(path: string): readonly RegExp[] {
  return TYPES_OF_HALF[path.split('/')[0] ?? ''] ?? [];
}
