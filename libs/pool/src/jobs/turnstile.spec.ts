import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Entrant, Turnstile } from './turnstile.ts';

/** Has it work without end, with jobs that take so long; gives back what it has done once it is told to stop. */
function busy(turnstile: Turnstile, entrant: Entrant, ms: number, stop: AbortSignal): { jobs: number } {
  const tally = { jobs: 0 };
  void (async () => {
    while (!stop.aborted && (await turnstile.enter(entrant))) {
      void sleep(ms).then(() => {
        tally.jobs += 1;
        turnstile.leave(entrant);
      });
    }
  })();
  return tally;
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

  it('gives the places in proportion to the weights, however long the jobs take', async () => {
    const turnstile = new Turnstile(1);
    const stop = new AbortController();
    const heavy = busy(turnstile, turnstile.add(3), 2, stop.signal);
    const light = busy(turnstile, turnstile.add(1), 6, stop.signal);
    while (light.jobs < 20) await sleep(5);
    stop.abort();
    // Three times the time of a place, in jobs that take a third: nine to one, less what timers are late by.
    expect(heavy.jobs / light.jobs).toBeGreaterThan(4);
  });

  it('leaves the share of one that has nothing to the others, and owes it nothing for that', async () => {
    const turnstile = new Turnstile(1);
    const [idle, other, third] = [turnstile.add(1), turnstile.add(1), turnstile.add(1)];
    await turnstile.enter(other);
    await sleep(40);
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
    await sleep(60); // it has had more by now than the other ever had
    void wait('idle again', idle);
    turnstile.leave(idle);
    await waits[1];
    expect(order).toEqual(['idle', 'other']);
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
