import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import type { Order } from './messages.ts';
import { type GroupMember, ProcessGroup } from './process-group.ts';
import type { News } from './serving-process.ts';

/** A process that does what the test says. */
class Member implements GroupMember {
  readonly number: number;
  readonly pid: number;
  readonly told: Order[] = [];
  readonly ended: Promise<string>;
  readonly end: (reason: string) => void;
  readonly say: (notice: News) => void;

  constructor(number: number, pid: number, say: (notice: News) => void) {
    this.number = number;
    this.pid = pid;
    this.say = say;
    ({ promise: this.ended, resolve: this.end } = Promise.withResolvers<string>());
  }

  tell(order: Order): void {
    this.told.push(order);
  }

  kill(): void {
    this.end('signal SIGKILL');
  }
}

function group(count: number) {
  const clock = new VirtualClock();
  const members: Member[] = [];
  const losses: unknown[] = [];
  const subject = new ProcessGroup<Member>({
    count,
    clock,
    launch: (number, news) => {
      const member = new Member(number, 100 + members.length, news);
      members.push(member);
      return member;
    },
    order: (number) => ({ type: 'stop', reason: `order of ${number}` }),
    news: () => undefined,
    ended: () => undefined,
    lost: (loss) => losses.push(loss),
  });
  return { subject, members, losses, clock, serve: (index: number) => members[index]?.say(listening) };
}

const listening = { type: 'listening', url: 'http://r' } as const;
/** Until what follows from what has just happened is done. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a group of processes', () => {
  it('has started when all serve', async () => {
    const { subject, members, serve } = group(2);
    const start = subject.start();
    members[0]?.say({ type: 'hello' });
    serve(0);
    expect(subject.serving).toEqual([members[0], undefined]);
    serve(1);

    await expect(start).resolves.toBe('http://r');
    expect(members[0]?.told).toEqual([{ type: 'stop', reason: 'order of 1' }]);
    expect(subject.serving).toEqual(members);
  });

  it('does not start when one cannot, and tells why', async () => {
    const { subject, members, losses, serve } = group(2);
    const start = subject.start();
    serve(0);
    members[1]?.say({ type: 'failed', message: 'the port is taken' });
    members[1]?.end('exit code 1');

    await expect(start).rejects.toThrow(/^the port is taken$/);
    await expect(members[0]?.ended).resolves.toBe('signal SIGKILL');
    expect([members.length, losses]).toEqual([2, []]);
  });

  it('replaces a process, later each time, and at once again when one was healthy', async () => {
    const { subject, members, losses, clock, serve } = group(1);
    const start = subject.start();
    serve(0);
    await start;
    const delays = [250, 500, 1000, 2000, 5000, 5000];
    for (const [index, delayMs] of delays.entries()) {
      members[index]?.end('signal SIGSEGV');
      await settled();
      expect(losses.at(-1)).toMatchObject({ number: 1, pid: 100 + index, reason: 'signal SIGSEGV', delayMs });
      expect(subject.serving).toEqual([undefined]);
      await clock.advance(delayMs - 1);
      await settled();
      expect(members).toHaveLength(index + 1);
      await clock.advance(1);
      await settled();
      expect(members).toHaveLength(index + 2);
      serve(index + 1);
    }
    await clock.advance(10_000);
    members.at(-1)?.end('exit code 1');
    await settled();

    expect(losses.at(-1)).toMatchObject({ delayMs: 250 });
  });

  it('tells all to stop, waits for them, and replaces none', async () => {
    const { subject, members, losses, serve } = group(2);
    const start = subject.start();
    serve(0);
    serve(1);
    await start;
    let stopped = false;
    const stop = (async (): Promise<void> => {
      await subject.stop('SIGTERM', 60_000);
      stopped = true;
    })();
    members[0]?.end('exit code 0');
    await settled();
    expect([stopped, members[1]?.told]).toEqual([false, [{ type: 'stop', reason: 'SIGTERM' }]]);
    members[1]?.end('exit code 0');

    await stop;
    expect([members.length, losses]).toEqual([2, []]);
  });

  it('ends those by force that do not end in time', async () => {
    const { subject, members, serve } = group(1);
    const start = subject.start();
    serve(0);
    await start;

    await subject.stop('SIGTERM', 10);

    await expect(members[0]?.ended).resolves.toBe('signal SIGKILL');
  });

  it('gives up the wait for a replacement when it stops', async () => {
    const { subject, members, clock, serve } = group(1);
    const start = subject.start();
    serve(0);
    await start;
    members[0]?.end('exit code 1');
    await settled();

    await subject.stop('SIGTERM', 60_000);
    await clock.advance(10_000);
    await settled();

    expect(members).toHaveLength(1);
  });
});
