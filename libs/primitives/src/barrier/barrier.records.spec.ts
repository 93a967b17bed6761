/** What a barrier's operations leave in Redis, where a round is more than one script may see through, and where some die. */
import { describe, expect, it } from 'vitest';
import { runAsNobody } from '../session/run-operations.ts';
import { sweep } from '../session/sweep.ts';
import { coreOf } from '../session.distributed.ts';
import { bareSession } from '../testing/bare-session.ts';
import { redisBench } from '../testing/redis.ts';

const bench = redisBench();
const HOUR = 3_600_000;

/** A barrier of so many parties, and operations on it. */
async function scene(parties: number) {
  const name = bench.name();
  const session = await bench.session();
  const core = coreOf(session);
  const { site } = core.partition(0);
  const keys = core.keyspace.of('barrier', name, ['state', 'arrivals', 'outcomes']);
  const [state = '', arrivals = '', outcomes = ''] = keys;
  const bare = async () => {
    const one = await bareSession(session, bench.admin);
    const ask = (operation: string, ...args: (string | number)[]) =>
      one.ask(operation, keys, [name, ...args]);
    return {
      ...one,
      arrive: (id = 1, acts: 0 | 1 = 0) => ask('barrier.wait', id, parties, acts),
      leave: (id = 1, acts: 0 | 1 = 0) => ask('barrier.leave', id, acts),
      /** Its outcome was read. */
      forget: (id = 1, acts: 0 | 1 = 0) => one.ask('barrier.forget', [arrivals, outcomes], [name, id, acts]),
      acted: (id = 1, well: 0 | 1 = 1) => ask('barrier.acted', id, well),
    };
  };
  const asNobody = async (operation: string, on: readonly string[], ...args: (string | number)[]) =>
    (await runAsNobody(core.line, core.operations, site, [{ operation, keys: on, args }]))[0];
  return {
    barrier: session.barrier(name, parties),
    state,
    arrivals,
    bare,
    /** So many parties, of one session. */
    async crowd(count: number) {
      const many = await bare();
      for (let id = 1; id <= count; id += 1) await many.arrive(id);
      return many;
    },
    advance: () => asNobody('barrier.advance', keys, name),
    break: (stays: 0 | 1) => asNobody('barrier.break', keys, name, parties, stays),
    look: () => asNobody('barrier.look', keys.slice(0, 2), parties),
    sweep: (dead: string) => sweep(core.line, core.operations, site, core.kinds, dead),
    outcomeOf: (who: { id: string }, id: number) => bench.admin.hget(outcomes, `${who.id}#${id}`),
    outcomes: () => bench.admin.hvals(outcomes),
    phase: () => bench.admin.hget(state, 'phase'),
    left: () => bench.admin.zcard(arrivals),
  };
}

describe('an arrival', () => {
  it('that is asked for again is the one of before, and has its outcome where the message was lost', async () => {
    const { bare, left, state } = await scene(2);
    const [one, other] = [await bare(), await bare()];
    expect(await one.arrive()).toEqual(['waiting']);
    await bench.admin.pexpire(state, 20_000);
    expect(await one.arrive()).toEqual(['waiting']);
    expect(await bench.admin.pttl(state)).toBeGreaterThan(HOUR);
    expect(await left()).toBe(1);
    expect(await other.arrive()).toEqual(['1']);
    expect(await one.arrive()).toEqual(['0']);
    expect(await one.leave()).toEqual(['0']);
    expect(await left()).toBe(0);
  });

  it.each([0, 1] as const)(
    'whose outcome was read, and undone by a fail-over, is none any more (%i)',
    async (acts) => {
      const { bare, left } = await scene(2);
      const one = await bare();
      await one.arrive(1, acts); // As it stands again where the end of its round was lost.
      await one.forget(1, acts);
      expect(await left()).toBe(0);
      expect(await one.listed()).toEqual([]);
    },
  );

  it('stands for no round whose action was run, though a fail-over undid that: the next round trips', async () => {
    const { bare, outcomeOf, phase } = await scene(2);
    const [one, actor, next, last] = [await bare(), await bare(), await bare(), await bare()];
    await one.arrive();
    expect(await actor.arrive(1, 1)).toEqual(['act']); // And again, as it stands where its word was lost.
    await next.arrive();
    await one.forget();
    await actor.forget(1, 1);
    expect(await last.arrive()).toEqual(['1']);
    expect([await outcomeOf(next, 1), await phase()]).toEqual(['0', 'filling']);
  });

  it('of a round that was being looked at is none any more either: another may come in its place', async () => {
    const { bare, crowd, advance, phase, outcomes, left } = await scene(300);
    const many = await crowd(299);
    const last = await bare();
    expect(await last.arrive()).toEqual(['more']);
    expect(await phase()).toBe('checking');
    await many.forget(7);
    expect(await advance()).toEqual(['done']);
    expect([await phase(), await left()]).toEqual(['filling', 299]);
    let [is] = await last.arrive(2);
    while (is === 'more') [is] = (await advance()) ?? [];
    expect([new Set(await outcomes()).size, await left()]).toEqual([300, 0]);
  });

  it('of one that has died keeps no outcome', async () => {
    const { bare, sweep, outcomeOf } = await scene(2);
    const [one, other] = [await bare(), await bare()];
    await one.arrive();
    await other.arrive();
    expect(await outcomeOf(one, 1)).toBe('0');
    await one.die();
    await sweep(one.id);
    expect([await outcomeOf(one, 1), await outcomeOf(other, 1)]).toEqual([null, '1']);
  });

  it('that is given up is listed no more, and breaks the barrier', async () => {
    const { bare, look } = await scene(2);
    const one = await bare();
    await one.arrive();
    expect(await one.listed()).toHaveLength(1);
    expect(await one.leave()).toEqual(['broken']);
    expect(await one.listed()).toEqual([]);
    expect(await look()).toEqual(['look', '0', '1']);
  });

  it('is of the next round where it comes while the action runs, or is one too many for that', async () => {
    const { bare, outcomes, left } = await scene(2);
    const [one, actor, next, last, late] = await Promise.all(Array.from({ length: 5 }, bare));
    await one?.arrive();
    expect(await actor?.arrive(1, 1)).toEqual(['act']);
    for (const each of [next, last, late]) expect(await each?.arrive()).toEqual(['waiting']);
    expect(await actor?.acted()).toEqual(['done']);
    expect((await outcomes()).sort()).toEqual(['0', '0', '1', '1']);
    expect(await left()).toBe(1);
    expect(await late?.arrive()).toEqual(['waiting']);
  });
});

describe('an action', () => {
  it('is over by the word of who runs it alone, and that word counts once', async () => {
    const { bare, look, phase } = await scene(2);
    const [one, actor] = [await bare(), await bare()];
    await one.arrive();
    await actor.arrive(1, 1);
    for (const [who, id] of [
      [one, 1],
      [actor, 2],
    ] as const)
      expect(await who.acted(id)).toEqual(['done']);
    expect(await phase()).toBe('acting');
    expect(await actor.arrive(1, 1)).toEqual(['act']);
    await actor.acted();
    expect(await phase()).toBe('filling');
    await actor.acted(1, 0);
    expect(await look()).toEqual(['look', '0', '0']);
  });

  it('goes on where one who came for the next round gives up or dies', async () => {
    const { bare, look, left, outcomes, sweep } = await scene(2);
    const [one, actor, hasty, dying] = [await bare(), await bare(), await bare(), await bare()];
    await one.arrive();
    await actor.arrive(1, 1);
    await hasty.arrive();
    await dying.arrive(1, 1);
    expect(await hasty.leave()).toEqual(['broken']);
    expect(await hasty.listed()).toEqual([]);
    await dying.die();
    expect(await sweep(dying.id)).toEqual({ state: 'swept' });
    expect([await look(), await left()]).toEqual([['look', '2', '0'], 2]);
    await actor.acted();
    expect((await outcomes()).sort()).toEqual(['0', '1']);
  });

  it('of a round that was broken ends nothing any more', async () => {
    const all = await scene(2);
    const [one, actor] = [await all.bare(), await all.bare()];
    await one.arrive();
    await actor.arrive(1, 1);
    await all.break(0);
    await one.arrive(2);
    expect(await actor.acted(1, 0)).toEqual(['done']);
    expect(await all.look()).toEqual(['look', '1', '0']);
    expect(await one.arrive(2)).toEqual(['waiting']);
  });
});

describe('a round of 600, which no single script may let go,', () => {
  /** All are there; some have been let go, and the rest still stand. */
  async function halfGone() {
    const all = await scene(600);
    const many = await all.crowd(599);
    const last = await all.bare();
    let reply = await last.arrive(600);
    while ((await all.phase()) !== 'draining' || (await all.left()) === 600) {
      expect(reply).toEqual(['more']);
      reply = [(await all.advance())?.[0] ?? ''];
    }
    const left = await all.left();
    expect(left).toBeGreaterThan(0);
    return { ...all, many, last, left };
  }

  it('is let go in steps, and nobody waits any more meanwhile', async () => {
    const { advance, look, outcomes, left, arrivals } = await halfGone();
    expect(await look()).toEqual(['look', '0', '0']);
    let steps = 0;
    while ((await advance())?.[0] === 'more') steps += 1;
    expect(steps).toBe(Math.floor(left / 256));
    expect(new Set(await outcomes()).size).toBe(600);
    expect(await bench.admin.exists(arrivals)).toBe(0);
  });

  it('is let go first where it is reset or aborted', async () => {
    const all = await halfGone();
    while ((await all.break(1))?.[0] === 'again');
    expect(new Set(await all.outcomes()).size).toBe(600);
    expect(await all.outcomes()).not.toContain('broken');
    expect(await all.look()).toEqual(['look', '0', '1']);
  });

  it('has an index for one who gives up, and is not broken by that', async () => {
    const all = await halfGone();
    let reply = await all.last.leave(600);
    while (reply[0] === 'more') reply = await all.last.leave(600);
    expect(reply).toEqual(['599']);
    expect(await all.look()).toEqual(['look', '0', '0']);
  });

  it('is not broken by one who dies after its end, and keeps nothing for that one', async () => {
    const all = await halfGone();
    await all.last.die();
    expect(await all.sweep(all.last.id)).toEqual({ state: 'swept' });
    expect(await all.outcomeOf(all.last, 600)).toBeNull();
    expect(new Set(await all.outcomes()).size).toBe(599);
    expect(await all.outcomes()).not.toContain('broken');
    expect(await all.look()).toEqual(['look', '0', '0']);
  });

  it('has its action ended in steps, too', async () => {
    const { crowd, bare, advance, outcomes, phase } = await scene(600);
    await crowd(599);
    const actor = await bare();
    let reply = await actor.arrive(600, 1);
    while (reply[0] === 'more') reply = await actor.arrive(600, 1);
    expect([reply, await phase()]).toEqual([['act'], 'acting']);
    expect(await actor.acted(600)).toEqual(['more']);
    while ((await advance())?.[0] === 'more');
    expect(new Set(await outcomes()).size).toBe(600);
  });
});

describe('a barrier with more who wait than a script may tell', () => {
  it('is reset for those of its round, and for nobody who came while they were told', async () => {
    const { barrier, crowd, bare, outcomes, left, look } = await scene(600);
    await crowd(599);
    const [actor, next] = [await bare(), await bare()];
    while ((await actor.arrive(600, 1))[0] === 'more');
    expect(await next.arrive()).toEqual(['waiting']);
    await barrier.reset();
    expect(await outcomes()).toEqual(Array(600).fill('broken'));
    expect([await left(), await look()]).toEqual([1, ['look', '1', '0']]);
  });

  it('is broken for all of them though who gave up dies before they were told', async () => {
    const { crowd, bare, sweep, left, outcomes } = await scene(700);
    const hasty = await bare();
    await hasty.arrive();
    await crowd(600);
    expect(await hasty.leave()).toEqual(['more']);
    expect(await left()).toBeGreaterThan(0);
    await hasty.die();
    expect(await sweep(hasty.id)).toEqual({ state: 'swept' });
    expect(await left()).toBe(0);
    expect(await outcomes()).toEqual(Array(600).fill('broken'));
  });

  it('is broken for all of them by the sweep of one', async () => {
    const { crowd, bare, sweep, left, outcomes } = await scene(700);
    const dying = await bare();
    await dying.arrive(1, 1);
    await crowd(600);
    await dying.die();
    expect(await sweep(dying.id)).toEqual({ state: 'swept' });
    expect(await left()).toBe(0);
    expect(await outcomes()).toEqual(Array(600).fill('broken'));
  });

  it('has one who asks again meanwhile told, and let go', async () => {
    const all = await scene(700);
    const many = await all.crowd(601);
    await bench.admin.pexpire(all.state, 20_000);
    expect(await all.break(1)).toEqual(['more']);
    expect(await bench.admin.pttl(all.state)).toBeGreaterThan(HOUR);
    const standing = await all.left();
    expect(standing).toBeGreaterThan(0);
    let reply = await many.arrive(601);
    while (reply[0] === 'more') reply = await many.arrive(601);
    expect(reply).toEqual(['broken']);
    expect(await all.outcomeOf(many, 601)).toBe('broken');
    expect(await all.left()).toBe(0);
  });
});

describe('a barrier whose arrivals are gone, as after their TTL,', () => {
  it('is filled anew, and one that is gone itself has nothing to go on with', async () => {
    const { bare, advance, state, phase } = await scene(2);
    expect(await advance()).toEqual(['done']);
    expect(await bench.admin.exists(state)).toBe(0);
    const one = await bare();
    await one.arrive();
    await bench.admin.hset(state, 'phase', 'draining', 'left', '5', 'as', 'tripped');
    await bench.admin.del(state.replace(/state$/, 'arrivals'));
    expect(await advance()).toEqual(['done']);
    expect(await phase()).toBe('filling');
  });
});
