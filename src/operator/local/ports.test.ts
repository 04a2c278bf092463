import { createServer, type Server } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { portHolder, requireFreePorts } from './ports.ts';

describe('requireFreePorts', () => {
  let server: Server;
  let port: number;

  beforeEach(async () => {
    server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterEach(() => {
    server.close();
  });

  it.each([
    ['listen', (taken: string) => ({ listen: taken, opsListen: '127.0.0.1:0' }), '--listen 127.0.0.1:PORT'],
    ['ops', (taken: string) => ({ listen: '127.0.0.1:0', opsListen: taken }), '--ops 127.0.0.1:PORT'],
  ])('names the option of the address that is taken: %s', async (_name, addresses, words) => {
    const taken = `127.0.0.1:${port}`;

    await expect(requireFreePorts(addresses(taken))).rejects.toThrow(
      new RegExp(`^${taken} is taken by .*; choose another with ${words}$`),
    );
  });

  it('passes when both can be listened on', async () => {
    await expect(
      requireFreePorts({ listen: '127.0.0.1:0', opsListen: '127.0.0.1:0' }),
    ).resolves.toBeUndefined();
  });

  it.each(['5000', '127.0.0.1', '127.0.0.1:80000'])('refuses %s', async (listen) => {
    await expect(requireFreePorts({ listen, opsListen: '127.0.0.1:0' })).rejects.toThrow(
      `--listen: "${listen}" is not HOST:PORT`,
    );
  });

  it.runIf(process.platform === 'linux')('tells who has a port', async () => {
    expect(await portHolder(port)).toMatch(new RegExp(`^process ${process.pid} \\(.+\\)$`));
  });

  it('tells of nobody for a port that is free', async () => {
    expect(await portHolder(1)).toBeUndefined();
  });
});
