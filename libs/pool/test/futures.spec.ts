import { getEventListeners } from 'node:events';
import { asCompleted, type CompletedFutures, ContextVar, Future, wait } from '@heddle/pool';
import { CancelledError, setExceptHook, TimeoutError } from '@heddle/primitives';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { makeFuture, settling } from '../src/future/future.ts';
import { requestId } from './context.ts';
import { until } from './until.ts';

const settle = settling();

function future(source: { cancel?: () => Promise<boolean> } = {}): Future<number> {
  return makeFuture<number>({
    id: 'f',
    cancel: async () => true,
    abort: async () => {},
    accepted: async () => {},
    ...source,
  });
}

describe('a Future', () => {
  it('is made by executors alone', () => {
    expect(() => new Future(Symbol('x'), {} as never)).toThrow(TypeError);
  });

  it('moves by its table: the first outcome holds, a late one changes nothing', async () => {
    const one = future();
    expect([one.done(), one.running()]).toEqual([false, false]);
    settle.running(one);
    expect(one.running()).toBe(true);
    settle.pending(one);
    expect(one.running()).toBe(false);
    settle.result(one, 1);
    settle.error(one, new Error('late'));
    settle.cancelled(one, new CancelledError('late'));
    settle.running(one);
    expect([one.done(), one.running(), one.cancelled(), await one]).toEqual([true, false, false, 1]);
    expect(await one.exception()).toBeNull();
    expect(await one.cancel()).toBe(false);
    expect(await one.abort()).toBe(false);
  });

  it('gives the error, or throws it, and raises nothing where nobody looks', async () => {
    const failed = future();
    const error = new RangeError('far');
    settle.error(failed, error);
    expect(await failed.exception()).toBe(error);
    await expect(failed.result()).rejects.toBe(error);
    await expect(failed).rejects.toBe(error);
  });

  it('gives the same to who waits within limits, before it is done and after', async () => {
    const limits = { timeout: 30_000, signal: new AbortController().signal };
    const [good, failed, cancelled] = [future(), future(), future()];
    const outcomes = () =>
      Promise.allSettled(
        [good, failed, cancelled].flatMap((one) => [one.result(limits), one.exception(limits)]),
      );
    const waiting = outcomes();
    const [error, end] = [new RangeError('far'), new CancelledError('stop')];
    settle.result(good, 1);
    settle.error(failed, error);
    settle.cancelled(cancelled, end);
    const [fulfilled, rejected] = ['fulfilled', 'rejected'];
    const expected = [
      { status: fulfilled, value: 1 },
      { status: fulfilled, value: null },
      { status: rejected, reason: error },
      { status: fulfilled, value: error },
      { status: rejected, reason: end },
      { status: rejected, reason: end },
    ];
    expect(await waiting).toEqual(expected);
    expect(await outcomes()).toEqual(expected);
  });

  it('stays pending where its source cannot cancel it', async () => {
    const busy = future({ cancel: async () => false });
    expect(await busy.cancel()).toBe(false);
    expect(busy.done()).toBe(false);
  });

  it('ends a wait by time-out or signal, and goes on itself', async () => {
    const slow = future();
    await expect(slow.result({ timeout: 1 })).rejects.toThrow(TimeoutError);
    await expect(slow.result({ timeout: 0 })).rejects.toThrow(TimeoutError);
    const controller = new AbortController();
    const waiting = slow.exception({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(slow.result({ signal: AbortSignal.abort('before') })).rejects.toBe('before');
    await expect(slow.result({ timeout: Number.NaN })).rejects.toThrow(RangeError);
    settle.result(slow, 3);
    expect(await slow.result({ timeout: 0 })).toBe(3);
  });

  it('calls back once, in order, also late; an error in one goes to the hook and stops no other', () => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push(error));
    try {
      const one = future();
      const order: unknown[] = [];
      one.addDoneCallback((self) => order.push(self));
      one.addDoneCallback(() => {
        throw new Error('in a callback');
      });
      one.addDoneCallback(() => order.push(2));
      settle.result(one, 1);
      one.addDoneCallback(() => order.push(3));
      expect(order).toEqual([one, 2, 3]);
      expect(told).toEqual([new Error('in a callback')]);
    } finally {
      setExceptHook(before);
    }
  });

  it('tells the hook of what an async callback rejects with', async () => {
    const told: unknown[] = [];
    const before = setExceptHook(({ error }) => told.push(error));
    try {
      const one = future();
      const fail = async () => Promise.reject(new Error('in an async callback'));
      one.addDoneCallback(fail);
      settle.result(one, 1);
      one.addDoneCallback(fail);
      await until(() => expect(told).toEqual(Array(2).fill(new Error('in an async callback'))));
    } finally {
      setExceptHook(before);
    }
  });

  it('gives its progress to all who ask for the next at the same time, in order, and ends for all', async () => {
    const one = future();
    const steps = one.progress[Symbol.asyncIterator]();
    const asked = [steps.next(), steps.next(), steps.next(), steps.next()];
    settle.progress(one, 'a');
    settle.progress(one, 'b');
    settle.result(one, 1);
    const over = { done: true, value: undefined };
    expect(await Promise.all(asked)).toEqual([
      { done: false, value: 'a' },
      { done: false, value: 'b' },
      over,
      over,
    ]);
    expect(await steps.next()).toEqual(over);
  });

  it('gives progress that nobody has asked for yet, also when it is done', async () => {
    const one = future();
    const steps = one.progress[Symbol.asyncIterator]();
    settle.progress(one, 'a');
    settle.result(one, 1);
    expect(await steps.next()).toEqual({ done: false, value: 'a' });
    expect((await steps.next()).done).toBe(true);
  });

  it('ends the progress of who leaves it, at once, and of no other', async () => {
    const one = future();
    const [left, kept] = [one.progress[Symbol.asyncIterator](), one.progress[Symbol.asyncIterator]()];
    settle.progress(one, 'a');
    await left.next();
    const [pending, other] = [left.next(), kept.next()];
    expect(await left.return?.()).toEqual({ done: true, value: undefined });
    expect(await pending).toEqual({ done: true, value: undefined });
    settle.progress(one, 'b');
    expect((await left.next()).done).toBe(true);
    expect([await other, await kept.next()].map(({ value }) => value)).toEqual(['a', 'b']);
    settle.result(one, 1);
    expect((await kept.next()).done).toBe(true);
  });

  it('calls back in the context where that was asked for, whoever settles it', () => {
    const one = future();
    const seen: unknown[] = [];
    const look = () => seen.push(requestId.get());
    requestId.run('a', () => one.addDoneCallback(look));
    one.addDoneCallback(look);
    requestId.run('b', () => settle.result(one, 1));
    expect(seen).toEqual(['a', 'none']);
  });
});

describe('wait', () => {
  it('tells those done from the others, when all, the first, or the first that failed is', async () => {
    const [a, b, c] = [future(), future(), future()];
    const first = wait([a, b, c], { returnWhen: 'FIRST_COMPLETED' });
    settle.result(b, 2);
    expect(await first).toEqual({ done: new Set([b]), notDone: new Set([a, c]) });
    const failed = wait([a, b, c], { returnWhen: 'FIRST_EXCEPTION' });
    settle.error(c, new Error('no'));
    expect((await failed).notDone).toEqual(new Set([a]));
    const all = wait(new Set([a, b, c]));
    settle.cancelled(a, new CancelledError('stop'));
    expect((await all).notDone.size).toBe(0);
    const [d, e] = [future(), future()];
    const both = wait([d, e]);
    settle.error(d, new Error('no'));
    expect(await Promise.race([both, Promise.resolve('still')])).toBe('still');
    settle.result(e, 5);
    expect((await both).done).toEqual(new Set([d, e]));
    expect((await wait([])).done.size).toBe(0);
  });

  it('takes note of those that were done before, and of cancelled ones as no failures', async () => {
    const [ok, failed, cancelled, open] = [future(), future(), future(), future()];
    settle.result(ok, 1);
    settle.error(failed, new Error('no'));
    settle.cancelled(cancelled, new CancelledError('stop'));
    const first = { returnWhen: 'FIRST_EXCEPTION' } as const;
    expect((await wait([ok, failed, open], first)).notDone).toEqual(new Set([open]));
    expect((await wait([cancelled, open], { returnWhen: 'FIRST_COMPLETED' })).notDone.size).toBe(1);
    const waiting = wait([ok, cancelled, open, open], first);
    expect(await Promise.race([waiting, Promise.resolve('still')])).toBe('still');
    settle.cancelled(open, new CancelledError('stop'));
    expect((await waiting).done).toEqual(new Set([ok, cancelled, open]));
  });

  it('looks at each once, however many there are', async () => {
    const many = Array.from({ length: 2000 }, () => future());
    const waiting = wait(many);
    let looks = 0;
    for (const one of many) {
      const done = one.done.bind(one);
      one.done = () => {
        looks += 1;
        return done();
      };
    }
    for (const one of many) settle.result(one, 1);
    expect((await waiting).done.size).toBe(many.length);
    expect(looks).toBeLessThanOrEqual(3 * many.length);
  });

  it('is over after its time, which is no error; a signal is one', async () => {
    const slow = future();
    expect(await wait([slow], { timeout: 1 })).toEqual({ done: new Set(), notDone: new Set([slow]) });
    await expect(wait([slow], { signal: AbortSignal.timeout(1) })).rejects.toThrow(/timeout/);
    await expect(wait([slow], { returnWhen: 'SOME' as 'ALL_COMPLETED' })).rejects.toThrow(RangeError);
    await expect(wait([Promise.resolve()] as never)).rejects.toThrow(TypeError);
  });
});

describe('asCompleted', () => {
  it('gives the Futures themselves as they get done, those done already first', async () => {
    const [a, b, c] = [future(), future(), future()];
    settle.result(b, 2);
    const order: Future<number>[] = [];
    const iterating = (async () => {
      for await (const done of asCompleted([a, b, c, a])) order.push(done);
    })();
    await until(() => expect(order.length).toBe(1));
    settle.error(c, new Error('no'));
    settle.result(a, 1);
    await iterating;
    expect(order).toHaveLength(3);
    expect(order.every((each, n) => each === [b, c, a][n])).toBe(true);
  });

  it('rejects when its time is over, after those that were in time', async () => {
    const [a, b] = [future(), future()];
    const iterator = asCompleted([a, b], { timeout: 20 });
    settle.result(a, 1);
    expect((await iterator.next()).value === a).toBe(true);
    await expect(iterator.next()).rejects.toThrow(/1 of 2/);
    expect((await iterator.next()).done).toBe(true);
    const untaken = asCompleted([future(), a, future()], { timeout: 1 });
    await expect(asCompleted([b], { timeout: 2 }).next()).rejects.toThrow(TimeoutError); // its clock came before that
    expect((await untaken.next()).value === a).toBe(true);
    await expect(untaken.next()).rejects.toThrow(/2 of 3/);
  });
});

interface WaitTerms {
  readonly timeout: number;
  readonly signal: AbortSignal;
}

describe('whoever waits', () => {
  const LONG = 999_000;
  const ends: [string, (terms: WaitTerms) => Promise<unknown>][] = [
    ['has all of them', (terms) => wait([done()], terms)],
    [
      'has the first',
      async (terms) => {
        const first = future();
        const waiting = wait([first, future()], { ...terms, returnWhen: 'FIRST_COMPLETED' });
        settle.result(first, 1);
        await waiting;
      },
    ],
    ['is given those that were done', (terms) => all(asCompleted([done(), done()], terms))],
    [
      'is given one after the other',
      async (terms) => {
        const late = future();
        const given = all(asCompleted([done(), late], terms));
        settle.result(late, 1);
        await given;
      },
    ],
    [
      'has the one result',
      async (terms) => {
        const one = future();
        const waiting = one.result(terms);
        settle.result(one, 1);
        await waiting;
      },
    ],
    [
      'has not had the one result in time',
      (terms) => expect(future().result({ ...terms, timeout: 1 })).rejects.toThrow(TimeoutError),
    ],
    ['has waited for as long as it may', (terms) => wait([future()], { ...terms, timeout: 1 })],
    [
      'was not given them in time',
      async (terms) => {
        const late = all(asCompleted([future()], { ...terms, timeout: 1 }));
        await expect(late).rejects.toThrow(TimeoutError);
      },
    ],
    [
      'goes before they are done',
      async (terms) => {
        for await (const _ of asCompleted([done(), future()], terms)) break;
      },
    ],
  ];

  it.each(ends)('and %s leaves no clock and no listener', async (_, act) => {
    const [set, clear] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
    onTestFinished(() => void vi.restoreAllMocks());
    const { signal } = new AbortController();
    await act({ timeout: LONG, signal });
    const running = set.mock.results
      .filter((_, n) => Number(set.mock.calls[n]?.[1]) > LONG / 2)
      .filter(({ value }) => !clear.mock.calls.some(([timer]) => timer === value));
    expect(running).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it.each([
    ['wait', (futures: Future<number>[], terms: WaitTerms) => wait(futures, terms)],
    ['asCompleted', (futures: Future<number>[], terms: WaitTerms) => all(asCompleted(futures, terms))],
  ])('and is aborted leaves no clock: %s', async (_, act) => {
    const [set, clear] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
    onTestFinished(() => void vi.restoreAllMocks());
    const controller = new AbortController();
    const waiting = act([future()], { timeout: LONG, signal: controller.signal });
    controller.abort('enough');
    await expect(waiting).rejects.toBe('enough');
    const clocks = set.mock.results.filter((_, n) => Number(set.mock.calls[n]?.[1]) > LONG / 2);
    expect(clocks).toHaveLength(1);
    expect(clear).toHaveBeenCalledWith(clocks[0]?.value);
  });

  function done(): Future<number> {
    const made = future();
    settle.result(made, 1);
    return made;
  }

  async function all(futures: CompletedFutures<number>): Promise<void> {
    for await (const _ of futures);
  }
});

describe('a ContextVar', () => {
  it('has the value of the innermost run around the caller, through awaits, else the default', async () => {
    const name = new ContextVar<string>('spec.name', { default: 'none' });
    const other = new ContextVar<number>('spec.other');
    const seen = await name.run('outer', async () => {
      await Promise.resolve();
      const inner = name.run('inner', () => other.run(1, () => [name.get(), other.get()]));
      return [name.get(), other.get(), ...inner];
    });
    expect(seen).toEqual(['outer', undefined, 'inner', 1]);
    expect([name.get(), other.get()]).toEqual(['none', undefined]);
  });

  it('is refused without a name', () => {
    expect(() => new ContextVar('')).toThrow(TypeError);
    expect(() => new ContextVar('x', { propagate: 1 as never })).toThrow(TypeError);
  });

  it('takes no option that nobody reads', () => {
    expect(() => new ContextVar('x', { defualt: 1 } as never)).toThrow(
      'ContextVar: unknown option "defualt"; known are default, propagate',
    );
    expect(() => new ContextVar('x', 1 as never)).toThrow(
      'ContextVar: options must be an object such as { default, propagate }, not 1',
    );
  });
});
