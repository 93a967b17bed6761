import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type Entrant, Turnstile } from './turnstile.ts';

/** A clock that goes only when it is told to. */
function standingClock(): (ms: number) => void {
  const clock = vi.spyOn(process, 'hrtime');
  onTestFinished(() => clock.mockRestore());
  const at = (ms: number) => void clock.mockReturnValue([Math.floor(ms / 1000), (ms % 1000) * 1e6]);
  at(0);
  return at;
}

describe('a turnstile', () => {
  it('lets in as many as there are places, and the next when one leaves', async () => {
    const turnstile = new Turnstile(2);
    const [a, b] = [turnstile.add(1), turnstile.add(1)];
    expect([await turnstile.enter(a), await turnstile.enter(a), turnstile.tryEnter(b)]).toEqual([
      true,
      true,
      false,
    ]);
    const third = turnstile.enter(b);
    turnstile.leave(a);
    expect(await third).toBe(true);
    expect(turnstile.free).toBe(0);
  });

  it('lets in one for each that leaves, and for nobody who waits no more', async () => {
    const turnstile = new Turnstile(2);
    const [a, b, c] = [turnstile.add(1), turnstile.add(1), turnstile.add(1)];
    await Promise.all([turnstile.enter(a), turnstile.enter(a)]);
    const entered: string[] = [];
    void turnstile.enter(b).then(() => entered.push('b'));
    void turnstile.enter(c).then(() => entered.push('c'));
    turnstile.leave(a);
    await sleep(0);
    expect([entered.length, turnstile.free]).toEqual([1, 0]);
    turnstile.leave(a);
    await sleep(0);
    expect([entered.toSorted(), turnstile.free]).toEqual([['b', 'c'], 0]);
    turnstile.leave(b);
    turnstile.leave(c);
    expect(turnstile.free).toBe(2);
  });

  it('gives the places in proportion to the weights, however long the jobs take', async () => {
    const at = standingClock();
    const turnstile = new Turnstile(1);
    const heavy = { entrant: turnstile.add(3), takes: 2, jobs: 0 };
    const light = { entrant: turnstile.add(1), takes: 6, jobs: 0 };
    const within: (typeof heavy)[] = [];
    const enter = (queue: typeof heavy) => void turnstile.enter(queue.entrant).then(() => within.push(queue));
    for (const queue of [heavy, light]) enter(queue);
    for (let time = 0; light.jobs < 20; ) {
      await sleep(0);
      const [queue] = within.splice(0) as [typeof heavy];
      time += queue.takes;
      at(time);
      queue.jobs += 1;
      enter(queue);
      turnstile.leave(queue.entrant);
    }
    // Three times the time of a place, in jobs that take a third: nine to one.
    expect(Math.round(heavy.jobs / light.jobs)).toBe(9);
  });

  it('leaves the share of one that has nothing to the others, and owes it nothing for that', async () => {
    const at = standingClock();
    const turnstile = new Turnstile(1);
    const [idle, other, third] = [turnstile.add(1), turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(other);
    at(40);
    turnstile.leave(other);
    await turnstile.enter(third);
    const order: string[] = [];
    const wait = async (name: string, entrant: Entrant) => {
      await turnstile.enter(entrant);
      order.push(name);
    };
    const waits = [wait('idle', idle), wait('other', other)];
    turnstile.leave(third);
    await waits[0];
    at(100); // it has had more by now than the other ever had
    void wait('idle again', idle);
    turnstile.leave(idle);
    await waits[1];
    expect(order).toEqual(['idle', 'other']);
  });

  it.each([1, 2])('gives who was idle no claim on what it left: %i places', async (places) => {
    const at = standingClock();
    const turnstile = new Turnstile(places);
    const [steady, idle] = [turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(steady);
    at(1000);
    const order: string[] = [];
    const wait = async (name: string, entrant: Entrant) => {
      await turnstile.enter(entrant);
      order.push(name);
    };
    const first = wait('idle', idle); // at once, where there is a second place
    const waits = [wait('steady', steady)];
    at(1010);
    if (places === 1) turnstile.leave(steady);
    await first;
    at(1030);
    waits.push(wait('idle again', idle));
    turnstile.leave(places === 1 ? idle : steady);
    await Promise.race(waits);
    expect(order).toEqual(['idle', 'steady']);
  });

  it('tells who has done a job to go on only while nobody is due before', async () => {
    const turnstile = new Turnstile(1);
    const [a, b] = [turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(a);
    expect(turnstile.goesOn(a)).toBe(true);
    const next = turnstile.enter(b);
    await sleep(5);
    expect(turnstile.goesOn(a)).toBe(false);
    turnstile.leave(a);
    expect(await next).toBe(true);
  });

  it('has nobody come in for one that came back when all places were taken', async () => {
    const turnstile = new Turnstile(1);
    const [a, b] = [turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(a);
    turnstile.leave(a);
    await turnstile.enter(b);
    turnstile.comeBack(a);
    expect([turnstile.free, turnstile.goesOn(b)]).toEqual([-1, false]);
    turnstile.leave(b);
    expect(turnstile.tryEnter(b)).toBe(false);
    turnstile.leave(a);
    expect(turnstile.tryEnter(b)).toBe(true);
  });

  it('sends one away that waits', async () => {
    const turnstile = new Turnstile(1);
    const [a, b] = [turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(a);
    const waiting = turnstile.enter(b);
    turnstile.sendAway(b);
    expect(await waiting).toBe(false);
  });
});
