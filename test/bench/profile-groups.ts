/** A function at one place of the call tree, as V8's profiles have it. */
export interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

/** What V8 calls time that belongs to no function. */
const PSEUDO: Readonly<Record<string, string | undefined>> = {
  '(idle)': undefined,
  '(root)': undefined,
  '(program)': 'kernel, libuv and OpenSSL outside of JavaScript',
  '(garbage collector)': 'garbage collection',
};

/** Parts of Node by the names of its files; the first that matches. */
const NODE_PARTS: readonly (readonly [RegExp, string])[] = [
  [/^node:(internal\/)?(_?tls|tls_|_tls_)/, 'TLS'],
  [/^node:(internal\/)?(fs|fs\/)/, 'file system'],
  [/^node:(internal\/)?crypto/, 'hashing and random numbers'],
  [/^node:(internal\/)?(timers|process\/|async_hooks|promise|perf)/, 'timers and promises'],
  [/^node:/, "Node's sockets, streams and HTTP"],
];

const MAIN_THREAD = /MainThread$/;
const PROFILER_THREAD = /^v8:Prof/;
/** Names of threads, which Linux cuts after 15 bytes. */
const THREADS: readonly (readonly [RegExp, string])[] = [
  [/^(libuv|iou-)/, 'thread pool: files'],
  [/V8Worker$|^DelayedTask|^SignalInspec/, 'helpers of V8: garbage, compiler'],
  [/^hash/, 'hashing threads'],
];

/** Whether the thread is there only because a profile is made. */
export function isProfiler(name: string): boolean {
  return PROFILER_THREAD.test(name);
}

/** @returns the group of a thread; undefined for the main one */
export function threadGroup(name: string): string | undefined {
  if (MAIN_THREAD.test(name)) return undefined;
  return THREADS.find(([pattern]) => pattern.test(name))?.[1] ?? `thread ${name}`;
}

/**
 * The group of every node: a part of Node, a file of ours, a package. Native functions, which have no file, count
 * for the one that called them.
 *
 * @returns groups by the ids of nodes; nodes of no interest are missing
 */
export function groupOf(nodes: readonly ProfileNode[]): Map<number, string> {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const groups = new Map<number, string>();
  const [root] = nodes;
  const pending: (readonly [ProfileNode, string | undefined])[] =
    root === undefined ? [] : [[root, undefined]];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [node, inherited] = next;
    const group = groupOfFrame(node.callFrame) ?? inherited;
    if (group !== undefined && !isIgnored(node)) groups.set(node.id, group);
    for (const id of node.children ?? []) {
      const child = byId.get(id);
      if (child !== undefined) pending.push([child, group]);
    }
  }
  return groups;
}

function isIgnored({ callFrame }: ProfileNode): boolean {
  return callFrame.functionName in PSEUDO && PSEUDO[callFrame.functionName] === undefined;
}

function groupOfFrame({ functionName, url }: ProfileNode['callFrame']): string | undefined {
  if (functionName in PSEUDO) return PSEUDO[functionName];
  if (url === '') return undefined;
  const part = NODE_PARTS.find(([pattern]) => pattern.test(url));
  if (part !== undefined) return part[1];
  const [, name] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
  if (name !== undefined) return name;
  return /\/src\/(.*)\.ts$/.exec(url)?.[1] ?? 'others';
}

/** Parts of the whole; they sum up to 1. */
export function sharesOf(amounts: ReadonlyMap<string, number>): Map<string, number> {
  const total = [...amounts.values()].reduce((sum, amount) => sum + amount, 0);
  return new Map([...amounts].map(([group, amount]) => [group, amount / total]));
}
