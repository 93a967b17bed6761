import { describe, expect, it, vi } from 'vitest';
import { bareLife } from '../testing/bare-life.ts';
import { Foothold } from './foothold.ts';
import type { Incarnation } from './incarnation.ts';

let made = 0;

function life(): Incarnation {
  made += 1;
  return bareLife(`life-${made}`);
}

/** Lives as a test gives them, and a keeper that begins when it says so. */
function scene() {
  const lives = {
    free: undefined as Incarnation | undefined,
    next: Promise.withResolvers<Incarnation>(),
    keeper: undefined as PromiseWithResolvers<void> | undefined,
    inTurn: () => lives.next.promise,
    guard: () => lives.keeper?.promise,
  };
  let ended = 0;
  const foothold = new Foothold(lives, () => {
    ended += 1;
  });
  return {
    lives,
    foothold,
    ended: () => ended,
    keeperIsToBegin: () => {
      lives.keeper = Promise.withResolvers();
    },
    keeperBegins: () => {
      lives.keeper?.resolve();
      lives.keeper = undefined;
    },
  };
}

/** What has become of a promise once all that was settled has been heard. */
async function state(promise: Promise<unknown>): Promise<unknown> {
  let got: unknown = 'pending';
  const heard = (what: unknown) => {
    got = what;
  };
  promise.then(heard, heard);
  await new Promise(setImmediate);
  return got;
}

describe('who stands under a life', () => {
  it('stands under it until it ends, and then under the next, whose turn it is', async () => {
    const { lives, foothold } = scene();
    const [first, second] = [life(), life()];
    expect(foothold.stand()).toBeUndefined();
    const asked = foothold.ask(async ({ id }) => id);
    expect(await state(asked)).toBe('pending');
    lives.next.resolve(first);
    expect(await asked).toBe(first.id);
    lives.free = second; // Another may be there; it is not asked as long as this one lives.
    expect([foothold.stand(), foothold.life]).toEqual([first, first]);
    first.end('the session was closed');
    expect(foothold.life).toBe(first);
    expect(foothold.stand()).toBe(second);
    expect(await foothold.under()).toBe(second);
  });

  it('asks at once where there is one', () => {
    const { lives, foothold } = scene();
    lives.free = life();
    let asked: unknown;
    void foothold.ask(async (under) => {
      asked = under;
    });
    expect(asked).toBe(lives.free);
  });

  it('is told of its end, once, and not where it has left', async () => {
    const { lives, foothold, ended } = scene();
    const [first, second] = [life(), life()];
    lives.free = first;
    foothold.stand();
    foothold.stand();
    first.end('the session was closed');
    expect(ended()).toBe(1);
    lives.free = second;
    foothold.stand();
    foothold.leave();
    second.end('the session was closed');
    expect([ended(), foothold.life]).toEqual([1, undefined]);
  });

  it('is told at once where that has come while its turn came', async () => {
    const { lives, foothold, ended } = scene();
    const first = life();
    first.end('the session was closed');
    lives.next.resolve(first);
    expect(await Promise.all([foothold.under(), foothold.under()])).toEqual([first, first]);
    expect(ended()).toBe(1);
  });

  it('is not told of the end of one that it has left for another', async () => {
    const { lives, foothold, ended } = scene();
    const [first, second] = [life(), life()];
    const turn = foothold.under();
    lives.free = second;
    foothold.stand();
    lives.next.resolve(first);
    expect(await turn).toBe(first);
    second.end('the session was closed');
    expect(ended()).toBe(0);
  });

  it('has the keeper begin', () => {
    const { lives, foothold } = scene();
    const guard = vi.spyOn(lives, 'guard');
    foothold.stand();
    expect(guard).not.toHaveBeenCalled();
    lives.free = life();
    foothold.stand();
    foothold.stand();
    expect(guard).toHaveBeenCalledTimes(1);
  });
});

describe('an answer under a life that is to be watched over', () => {
  it('is had at once where the keeper has begun', () => {
    const { lives, foothold } = scene();
    lives.free = life();
    foothold.stand();
    const answer = Promise.resolve('granted');
    expect(foothold.watched(answer, () => true)).toBe(answer);
  });

  it('is had once the keeper begins, and no later one is waited for', async () => {
    const { lives, foothold, keeperIsToBegin, keeperBegins } = scene();
    lives.free = life();
    foothold.stand();
    keeperIsToBegin();
    const answer = foothold.watched(Promise.resolve('granted'), () => true);
    expect(await state(answer)).toBe('pending');
    keeperBegins();
    expect(await state(answer)).toBe('granted');
  });

  it('is waited for again where another keeper is to begin by then', async () => {
    const { lives, foothold, keeperIsToBegin, keeperBegins } = scene();
    lives.free = life();
    foothold.stand();
    keeperIsToBegin();
    const answer = foothold.watched(Promise.resolve('granted'), () => true);
    await state(answer);
    keeperBegins();
    keeperIsToBegin();
    expect(await state(answer)).toBe('pending');
    keeperBegins();
    expect(await state(answer)).toBe('granted');
  });

  it('is had at once by whoever gave up, and by nobody else', async () => {
    const { lives, foothold, keeperIsToBegin, keeperBegins } = scene();
    lives.free = life();
    foothold.stand();
    keeperIsToBegin();
    let wanted = true;
    const [left, stays] = [
      foothold.watched(Promise.resolve('one'), () => wanted),
      foothold.watched(Promise.resolve('other'), () => true),
    ];
    expect([await state(left), await state(stays)]).toEqual(['pending', 'pending']);
    wanted = false;
    foothold.relent();
    expect([await state(left), await state(stays)]).toEqual(['one', 'pending']);
    expect(await state(foothold.watched(Promise.resolve('late'), () => false))).toBe('late');
    keeperBegins();
    expect(await state(stays)).toBe('other');
  });

  it.each(['the keeper begins', 'it is given up'])(
    'is none where the life ended before %s: what it granted went with it',
    async (how) => {
      const { lives, foothold, keeperIsToBegin, keeperBegins } = scene();
      const first = life();
      lives.free = first;
      foothold.stand();
      keeperIsToBegin();
      let wanted = true;
      const answer = foothold.watched(Promise.resolve('granted'), () => wanted);
      expect(await state(answer)).toBe('pending');
      first.end('Redis no longer knows it: it expired, or the data was lost');
      lives.free = life();
      foothold.stand(); // The seat has gone on under the next.
      if (how === 'the keeper begins') keeperBegins();
      else {
        wanted = false;
        foothold.relent();
      }
      expect(await state(answer)).toMatchObject({ name: 'CallEnded', sent: true });
    },
  );

  it('rejects as the call does', async () => {
    const { lives, foothold, keeperIsToBegin } = scene();
    lives.free = life();
    foothold.stand();
    keeperIsToBegin();
    await expect(foothold.watched(Promise.reject(new Error('no')), () => true)).rejects.toThrow('no');
  });
});
