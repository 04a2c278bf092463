import { connect, createServer, type Socket } from 'node:net';

export interface CuttingProxy {
  /** URL of the proxy. */
  readonly endpoint: string;
  /** Breaks connections so many times, each after further `bytes` of responses. */
  cut(bytes: number, times: number): void;
  /** Cuts that have happened. */
  readonly cuts: number;
  stop(): Promise<void>;
}

/** A TCP proxy whose connections to clients break where a test says so. */
export async function startCuttingProxy(target: string): Promise<CuttingProxy> {
  const { hostname, port } = new URL(target);
  const plan = { bytes: 0, left: 0, passed: 0, cuts: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      plan.passed += chunk.length;
      if (plan.left > 0 && plan.passed > plan.bytes) {
        Object.assign(plan, { left: plan.left - 1, passed: 0, cuts: plan.cuts + 1 });
        client.destroy();
      } else if (!client.write(chunk)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP port was assigned');
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    cut: (bytes, times) => Object.assign(plan, { bytes, left: times, passed: 0 }),
    get cuts() {
      return plan.cuts;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
