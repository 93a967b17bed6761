import { describe, expect, it } from 'vitest';
import {
  barrierIndices,
  exclusion,
  fencedInOrder,
  firstComeFirstServed,
  itemsOnce,
  linearizable,
  tokensRise,
} from './checks.ts';
import { emptyHistory, type FencedWrite, type Hold, merge, type Operation } from './history.ts';
import { LATCH_COUNT } from './models.ts';
import { chance } from './random.ts';
import { leftBehind, leftStanding } from './remains.ts';

const at = (
  start: number,
  end: number,
  op: string,
  result?: Operation['result'],
  arg?: number,
): Operation => ({
  client: 'c',
  name: 'x',
  op,
  arg,
  start,
  end,
  result,
});
const never = Number.POSITIVE_INFINITY;
const named = (name: string, operations: Operation[]) => operations.map((one) => ({ ...one, name }));
const wrong = (kind: string, ...operations: Operation[]) =>
  linearizable(named(`${kind} x`, operations), [kind]);
const hold = (from: number, until: number, token: number, permits = 1): Hold => ({
  client: 'c',
  name: 'x',
  token,
  permits,
  from,
  until,
});
const write = (start: number, end: number, token: number, accepted = true): FencedWrite => ({
  name: 'x',
  token,
  start,
  end,
  accepted,
});

describe('the checker of histories', () => {
  it('lets pass what one order explains', () => {
    expect(wrong('counter', at(0, 9, 'add', 3, 1), at(1, 8, 'add', 2, 2), at(2, 7, 'value', 2))).toEqual([]);
    expect(wrong('event', at(0, 1, 'set'), at(2, 9, 'wait', true), at(3, 4, 'clear'))).toEqual([]);
    expect(
      wrong('queue', at(0, 5, 'put', undefined, 1), at(1, 4, 'put', undefined, 2), at(6, 7, 'get', 2)),
    ).toEqual([]);
  });

  it('lets what is unknown take effect late, or never', () => {
    expect(
      wrong('counter', at(0, never, 'add', undefined, 5), at(1, 2, 'value', 0), at(3, 4, 'value', 5)),
    ).toEqual([]);
    expect(wrong('counter', at(0, never, 'add', undefined, 5), at(1, 2, 'value', 0))).toEqual([]);
    expect(
      wrong('counter', at(0, never, 'add', undefined, 5), at(1, 2, 'value', 5), at(3, 4, 'value', 0)),
    ).not.toEqual([]);
  });

  it('catches a change that was lost, and one that was made twice', () => {
    expect(wrong('event', at(0, 1, 'set'), at(2, 3, 'isSet', false))).not.toEqual([]);
    expect(wrong('event', at(0, 1, 'clear'), at(2, 3, 'wait', true))).not.toEqual([]);
    expect(wrong('counter', at(0, 1, 'add', 1, 1), at(2, 3, 'add', 1, 1))).not.toEqual([]);
    expect(wrong('counter', at(0, 1, 'add', 1, 1), at(2, 3, 'value', 2))).not.toEqual([]);
  });

  it('catches a queue out of order', () => {
    const puts = [at(0, 1, 'put', undefined, 1), at(2, 3, 'put', undefined, 2)];
    expect(wrong('queue', ...puts, at(4, 5, 'get', 2), at(6, 7, 'get', 1))).not.toEqual([]);
    expect(wrong('queue', ...puts, at(4, 5, 'get', 1), at(6, 7, 'get', 2))).toEqual([]);
  });

  it('catches a lease that ignores its deadline', () => {
    expect(exclusion([hold(0, 10, 1), hold(5, 15, 2)], () => 1)).toHaveLength(1);
    expect(exclusion([hold(0, 10, 1), hold(10, 15, 2)], () => 1)).toEqual([]);
    expect(exclusion([hold(0, 10, 1), hold(5, 15, 2), hold(6, 7, 3)], () => 2)).toHaveLength(1);
  });

  it('catches a hand-over that reuses a token, and one that goes back', () => {
    const one = () => 1;
    expect(tokensRise([hold(0, 1, 7), hold(2, 3, 7)], one)).not.toEqual([]);
    expect(tokensRise([hold(0, 1, 7), hold(2, 3, 6)], one)).toHaveLength(1);
    expect(tokensRise([hold(0, 1, 6), hold(2, 3, 7)], one)).toEqual([]);
  });

  it('catches a writer whose token goes back behind a reader’s, and minds no order among readers', () => {
    const ten = () => 10;
    expect(tokensRise([hold(0, 1, 7), hold(2, 3, 6, 10)], ten)).toHaveLength(1);
    expect(tokensRise([hold(0, 1, 7, 10), hold(2, 3, 6)], ten)).toHaveLength(1);
    expect(tokensRise([hold(0, 1, 7), hold(0, 3, 6), hold(4, 5, 8, 10)], ten)).toEqual([]);
    expect(exclusion([hold(0, 5, 7), hold(4, 6, 8, 10)], ten)).toHaveLength(1);
    expect(exclusion([hold(0, 5, 7), hold(4, 6, 8)], ten)).toEqual([]);
  });

  it('catches a latch that opens too soon, and one that closes again', () => {
    const down = (n: number) => at(0, 1, 'down', undefined, n);
    expect(wrong('latch', down(LATCH_COUNT - 1), at(2, 3, 'wait', true))).not.toEqual([]);
    expect(wrong('latch', down(LATCH_COUNT), at(2, 3, 'wait', true), at(4, 5, 'count', 0))).toEqual([]);
    expect(wrong('latch', down(LATCH_COUNT), at(2, 3, 'wait', true), at(4, 5, 'count', 1))).not.toEqual([]);
    expect(wrong('latch', down(LATCH_COUNT + 1), at(2, 3, 'count', 0))).toEqual([]);
    expect(wrong('latch', down(1), at(2, 3, 'wait', false), at(4, 5, 'count', LATCH_COUNT - 1))).toEqual([]);
  });

  it('catches one who is granted a lock before those who came first', () => {
    const line = (holder: string, first: string, ...ids: (readonly [string, number])[]) => ({
      name: 'lock a',
      holder,
      first,
      line: ids,
    });
    const waits = line('x', '1', ['a', 10], ['b', 11]);
    expect(firstComeFirstServed([waits, line('b', '2', ['a', 10])])).toHaveLength(1);
    expect(firstComeFirstServed([waits, line('a', '2', ['b', 11])])).toEqual([]);
    // Served, or gone, and back at the end of the line in between.
    expect(firstComeFirstServed([waits, line('b', '3', ['a', 12])])).toEqual([]);
  });

  it('catches a fenced write out of token order', () => {
    expect(fencedInOrder([write(0, 1, 5), write(2, 3, 4)])).toHaveLength(1);
    expect(fencedInOrder([write(0, 1, 5), write(2, 3, 4, false)])).toEqual([]);
    expect(fencedInOrder([write(0, 3, 5), write(2, 4, 4)])).toEqual([]);
  });

  it('catches items that are lost, doubled or made up', () => {
    const put = at(0, 1, 'put', undefined, 1);
    expect(itemsOnce([put], false)).toHaveLength(1);
    expect(itemsOnce([{ ...put, end: never }], false)).toEqual([]);
    expect(itemsOnce([put, at(2, 3, 'get', 1), at(4, 5, 'get', 1)], false)).toHaveLength(1);
    expect(itemsOnce([put, at(2, 3, 'get', 1), at(4, 5, 'get', 1)], true)).toEqual([]);
    expect(itemsOnce([at(2, 3, 'get', 9)], true)).toHaveLength(1);
  });

  it('catches a round of a barrier that gave one index twice', () => {
    const round = (...indices: number[]) => indices.map((index) => at(0, 1, 'meet', index));
    expect(barrierIndices(round(0, 1, 1), 3)).toHaveLength(1);
    expect(barrierIndices(round(0, 1, 2, 2, 0, 1), 3)).toEqual([]);
    expect(barrierIndices([...round(0, 1), at(0, never, 'meet')], 3)).toEqual([]);
  });

  it('has all of a long run in one history', () => {
    const look = { name: 'lock a', holder: undefined, first: undefined, line: [] };
    const long = { ...emptyHistory(), lines: Array.from({ length: 200_000 }, () => look), lost: ['a'] };
    expect(merge([long, { ...emptyHistory(), lost: ['b'] }])).toEqual({ ...long, lost: ['a', 'b'] });
  });

  it('catches what is left of a session that has ended', () => {
    const key = (rest: string) => `{heddle:0}:${rest}`;
    expect(leftBehind([[key('lock:a:queue'), ['x-1']]], true)).toHaveLength(1);
    expect(leftBehind([[key('lock:a:state'), ['end', 'holder']]], true)).toHaveLength(1);
    expect(leftBehind([[key('lock:a:state'), ['end']]], true)).toEqual([]);
    expect(leftBehind([[key('semaphore:s:holders'), ['x-1#4']]], true)).toHaveLength(1);
    expect(leftBehind([[key('queue:q:items'), ['an item']]], true)).toEqual([]);
    expect(leftBehind([[key('session:x-1:holds'), ['lock']]], true)).toHaveLength(1);
    expect(leftBehind([[key('queue:q:outcomes'), ['x-1#4']]], true)).toHaveLength(1);
    expect(leftBehind([[key('queue:q:outcomes'), ['x-1#4']]], false)).toEqual([]);
    expect(leftBehind([[key('queue:q:takers'), ['x-1#4']]], false)).toHaveLength(1);
  });

  it('catches what is left of a wait or a hold in a session that lives', () => {
    expect(leftStanding([['{heddle:0}:queue:q:takers', ['x-1#4']]])).toHaveLength(1);
    expect(leftStanding([['{heddle:0}:session:x-1:holds', ['a record']]])).toEqual([]);
    expect(leftStanding([['{heddle:0}:barrier:b:outcomes', ['x-1#4']]])).toEqual([]);
  });

  it('is soon done with thousands of operations, dozens of which nobody knows the outcome of', () => {
    const c = chance(7);
    let value = 0;
    const history: Operation[] = [];
    for (let n = 0; n < 6000; n += 1) {
      const arg = c.between(1, 3);
      const lost = n % 100 === 0;
      if (!lost || c.next() < 0.5) value += arg;
      history.push(
        at(
          n * 10 - c.between(1, 40),
          lost ? never : n * 10 + c.between(1, 40),
          'add',
          lost ? undefined : value,
          arg,
        ),
      );
    }
    expect(wrong('counter', ...history)).toEqual([]);
    expect(wrong('counter', ...history.slice(0, 500), at(6000, 6001, 'value', 1e6))).not.toEqual([]);
  });

  it('is right about hundreds of made-up histories, and of each with one answer changed', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const c = chance(seed);
      let value = 0;
      const history = Array.from({ length: 40 }, (_, n) => {
        const arg = c.between(1, 3);
        value += arg;
        // Effects in the middle of what overlaps.
        return at(n * 10 - c.between(1, 25), n * 10 + c.between(1, 25), 'add', value, arg);
      });
      expect(wrong('counter', ...history)).toEqual([]);
      const changed = history.map((one, n) =>
        n === 20 ? { ...one, result: (one.result as number) + 1000 } : one,
      );
      expect(wrong('counter', ...changed)).not.toEqual([]);
    }
  });
});
