import { describe, expect, it } from 'vitest';

import { VirtualClock } from '../../../test/helpers/virtual-clock.ts';
import { Admission, NotAdmitted, type Turn } from './admission.ts';

function admissionOf(limits: { maxRunning?: number; maxQueued?: number; maxWaitSeconds?: number } = {}) {
  const clock = new VirtualClock();
  const current = { maxRunning: 1, maxQueued: 2, maxWaitSeconds: 30, ...limits };
  return { clock, current, admission: new Admission(() => current, clock) };
}

function refusal(enter: () => Turn): NotAdmitted {
  try {
    enter();
  } catch (error) {
    if (error instanceof NotAdmitted) return error;
    throw error;
  }
  throw new Error('was admitted');
}

describe('Admission', () => {
  it('lets run at once what fits', () => {
    const { admission } = admissionOf({ maxRunning: 2 });

    const turns = [admission.enter('a'), admission.enter('a')];

    expect(turns.map(({ state, admitted }) => [state, admitted])).toEqual([
      ['running', undefined],
      ['running', undefined],
    ]);
    expect([admission.running, admission.queued]).toEqual([2, 0]);
  });

  it('gives turns in the order of arrival, one for each that ends', async () => {
    const { admission } = admissionOf({ maxQueued: 3 });
    const first = admission.enter('a');
    const waiting = [admission.enter('a'), admission.enter('a'), admission.enter('a')];
    const order: number[] = [];
    for (const [index, turn] of waiting.entries()) void turn.admitted?.then(() => order.push(index));

    for (const [index, turn] of [first, ...waiting.slice(0, 2)].entries()) {
      admission.leave(turn);
      await waiting[index]?.admitted;
      expect(order).toEqual([0, 1, 2].slice(0, index + 1));
      expect([admission.running, admission.queued]).toEqual([1, 2 - index]);
    }
  });

  it('lets nobody pass those who wait', () => {
    const { admission, current } = admissionOf({ maxQueued: 5 });
    const first = admission.enter('a');
    const waiting = admission.enter('a');
    admission.leave(first);

    expect(waiting.state).toBe('running');
    current.maxRunning = 2;
    expect(admission.enter('a').state).toBe('running');
    expect(admission.enter('a').state).toBe('waiting');
  });

  it('refuses what does not fit into the queue', () => {
    const { admission } = admissionOf({ maxQueued: 1 });
    admission.enter('a');
    admission.enter('a');

    expect(refusal(() => admission.enter('a'))).toMatchObject({ reason: 'full', retryAfter: 1 });
    expect([admission.running, admission.queued]).toEqual([1, 1]);
  });

  it('refuses at once without a queue', () => {
    const { admission } = admissionOf({ maxQueued: 0 });
    const turn = admission.enter('a');

    expect(refusal(() => admission.enter('a')).reason).toBe('full');
    admission.leave(turn);
    expect(admission.enter('a').state).toBe('running');
  });

  it('refuses who has waited as long as allowed, and gives the turn to the next', async () => {
    const { admission, clock } = admissionOf();
    const first = admission.enter('a');
    const second = admission.enter('a');
    await clock.advance(20_000);
    const third = admission.enter('a');

    await clock.advance(10_000);
    await expect(second.admitted).rejects.toMatchObject({ reason: 'late' });
    expect([admission.running, admission.queued]).toEqual([1, 1]);
    admission.leave(second);
    expect(third.state).toBe('waiting');
    admission.leave(first);
    await third.admitted;
    expect(clock.sleeping).toBe(0);
  });

  it('asks to come again after about the time that the queue takes, at most 30 seconds', async () => {
    const { admission, clock } = admissionOf({ maxQueued: 1, maxWaitSeconds: 300 });
    admission.enter('a');
    admission.enter('a');

    const asked: number[] = [];
    for (const ms of [0, 4200, 100_000]) {
      await clock.advance(ms);
      asked.push(refusal(() => admission.enter('a')).retryAfter);
    }

    expect(asked).toEqual([1, 5, 30]);
  });

  it('forgets who leaves while waiting', async () => {
    const { admission, clock } = admissionOf();
    const first = admission.enter('a');
    const gone = admission.enter('a');
    const next = admission.enter('a');

    admission.leave(gone);

    await expect(gone.admitted).rejects.toMatchObject({ reason: 'left' });
    expect([admission.running, admission.queued]).toEqual([1, 1]);
    admission.leave(first);
    await next.admitted;
    expect([admission.running, admission.queued, clock.sleeping]).toEqual([1, 0, 0]);
  });

  it('takes back a turn from who leaves between getting it and hearing of it', () => {
    const { admission } = admissionOf();
    const first = admission.enter('a');
    const waiting = admission.enter('a');

    admission.leave(first);
    admission.leave(waiting);

    expect([admission.running, admission.queued]).toEqual([0, 0]);
  });

  it('ends a turn once, however often it is given back', () => {
    const { admission } = admissionOf({ maxRunning: 2 });
    const turn = admission.enter('a');
    admission.enter('a');

    admission.leave(turn);
    admission.leave(turn);

    expect(admission.running).toBe(1);
  });

  it('follows limits that change', async () => {
    const { admission, current } = admissionOf({ maxQueued: 5 });
    const turns = [admission.enter('a'), admission.enter('a'), admission.enter('a')];

    current.maxRunning = 3;
    turns.push(admission.enter('a'));
    expect([admission.running, admission.queued]).toEqual([3, 1]);

    current.maxRunning = 1;
    for (const turn of turns.slice(0, 2)) admission.leave(turn);
    expect([admission.running, admission.queued]).toEqual([1, 1]);
    current.maxQueued = 1;
    expect(refusal(() => admission.enter('a')).reason).toBe('full');
  });

  it('lets one client wait before it has every turn, and others pass it', async () => {
    const { admission } = admissionOf({ maxRunning: 8, maxQueued: 3 });
    const mine = Array.from({ length: 8 }, () => admission.enter('a'));
    expect(mine.map(({ state }) => state)).toEqual([...Array(6).fill('running'), 'waiting', 'waiting']);

    const others = [admission.enter('b'), admission.enter('c')];
    expect(others.map(({ state }) => state)).toEqual(['running', 'running']);
    const late = admission.enter('b');
    expect(late.state).toBe('waiting');
    expect(refusal(() => admission.enter('d')).reason).toBe('full');

    for (const turn of others) admission.leave(turn);
    expect(late.state).toBe('running');
    expect([mine[6]?.state, admission.running, admission.queued]).toEqual(['waiting', 7, 2]);
    if (mine[0]) admission.leave(mine[0]);
    await mine[6]?.admitted;
    expect([mine[6]?.state, mine[7]?.state]).toEqual(['running', 'waiting']);
  });

  it('keeps count through any order of events', async () => {
    const { admission, clock } = admissionOf({ maxRunning: 3, maxQueued: 4, maxWaitSeconds: 2 });
    let seed = 7;
    const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const turns: Turn[] = [];

    for (let step = 0; step < 3000; step += 1) {
      const action = random(10);
      if (action < 5) {
        if (admission.queued < 4) turns.push(admission.enter('a'));
        else refusal(() => admission.enter('a'));
      } else if (action < 9) {
        const [turn] = turns.splice(random(turns.length || 1), 1);
        if (turn) admission.leave(turn);
      } else if (step % 50 === 0) {
        await clock.advance(random(3000));
      }
      expect(admission.running).toBe(turns.filter(({ state }) => state === 'running').length);
      expect(admission.queued).toBe(turns.filter(({ state }) => state === 'waiting').length);
      expect(admission.running === 3 || admission.queued === 0).toBe(true);
    }
    for (const turn of turns) admission.leave(turn);
    await clock.advance(0);
    expect([admission.running, admission.queued, clock.sleeping]).toEqual([0, 0, 0]);
  });
});
