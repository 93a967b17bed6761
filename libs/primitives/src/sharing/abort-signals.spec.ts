import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { Event } from '../event/event.local.ts';
import { later, until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { attachSignal, type SignalHandle, shareSignal } from './abort-signals.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

type Said = Int32Array<SharedArrayBuffer>;
const cells = (): Said => new Int32Array(new SharedArrayBuffer(8));

function start<R>(target: (...args: never[]) => R, ...args: unknown[]): Thread<Awaited<R>> {
  const thread = new Thread({ target, args });
  thread.start();
  return thread as Thread<Awaited<R>>;
}

/** Until it has ended all is collected that nobody holds. */
async function collecting(thread: Thread<unknown>): Promise<void> {
  await until(() => {
    gc();
    return !thread.isAlive();
  }, 'the thread has ended');
}

/** Waits for the abort; gives what is known of the reason. */
const untilAborted = async (signal: AbortSignal, said: Said) => {
  said[0] = 1;
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
  const { reason } = signal;
  return [signal instanceof AbortSignal, reason instanceof Error, reason?.name, reason?.message ?? reason];
};

describe('an AbortSignal as an argument of a thread', () => {
  it.each([
    ['the default reason', undefined, [true, true, 'AbortError', 'This operation was aborted']],
    ['an error', new RangeError('enough'), [true, true, 'RangeError', 'enough']],
    ['a string', 'enough', [true, false, undefined, 'enough']],
    ['a function, which can not travel', () => 1, [true, true, 'NotCloneableError', expect.any(String)]],
  ])('aborts there as it does here, with %s', async (_, reason, expected) => {
    const stop = new AbortController();
    const said = cells();
    const thread = start(untilAborted, stop.signal, said);
    await until(() => said[0] === 1, 'it listens');
    stop.abort(reason);
    expect(await thread.result).toEqual(expected);
  });

  it('arrives aborted where it was, or where it was meanwhile', async () => {
    const before = start(untilAborted, AbortSignal.abort('before'), cells());
    const stop = new AbortController();
    const meanwhile = start(untilAborted, stop.signal, cells());
    stop.abort('meanwhile');
    expect((await before.result)[3]).toBe('before');
    expect((await meanwhile.result)[3]).toBe('meanwhile');
  });

  it('stops a thread whose event loop never turns', async () => {
    const stop = new AbortController();
    const said = cells();
    const target = (signal: AbortSignal, flags: Int32Array) => {
      let rounds = 0;
      while (!signal.aborted) {
        rounds += 1;
        flags[0] = 1;
      }
      try {
        signal.throwIfAborted();
      } catch (reason) {
        return [rounds > 0, reason];
      }
      return 'not aborted';
    };
    const thread = start(target, stop.signal, said);
    await until(() => said[0] === 1, 'it goes round');
    stop.abort('stop now');
    expect(await thread.result).toEqual([true, 'stop now']);
  });

  it('ends a wait there, wherever in the arguments it stands, and in a thread of the thread', async () => {
    const stop = new AbortController();
    const event = new Event();
    const target = async ({ signal, events }: { signal: AbortSignal; events: Event[] }) => {
      return await events[0]?.wait({ signal }).then(
        () => 'set',
        (reason) => reason,
      );
    };
    const thread = start(target, { signal: stop.signal, events: [event] });
    await later(20, undefined);
    stop.abort('enough');
    expect(await thread.result).toBe('enough');
  });

  it('is itself again where it comes back', async () => {
    const stop = new AbortController();
    const thread = start((signal: AbortSignal) => [signal, signal], stop.signal);
    expect(await thread.result).toEqual([stop.signal, stop.signal]);
    expect(((await thread.result) as AbortSignal[])[0]).toBe(stop.signal);
  });

  it('is seen at once in a thread whose starter blocks, with its reason, where it had aborted before', async () => {
    const target = (signal: AbortSignal) => [signal.aborted, signal.reason];
    const thread = start(target, AbortSignal.abort('before'));
    expect(thread.joinSync({ timeout: 60_000 })).toBe(true);
    expect(await thread.result).toEqual([true, 'before']);
  });

  it('is one for each, by whichever of them it aborts, and the same one wherever and however often it goes', async () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const target = async (signals: AbortSignal[], again: AbortSignal, said: Int32Array) => {
      const [one, two] = signals as [AbortSignal, AbortSignal];
      const aborted = new Promise((resolve) => two.addEventListener('abort', resolve));
      Atomics.store(said, 0, 1);
      await aborted;
      return [one.aborted, two.aborted, again === two];
    };
    const said = cells();
    const thread = start(target, [first.signal, second.signal], second.signal, said);
    await until(() => said[0] === 1, 'it listens');
    second.abort();
    expect(await thread.result).toEqual([false, true, true]);
    expect(shareSignal(first.signal)).toBe(shareSignal(first.signal));
    expect(getEventListeners(first.signal, 'abort')).toHaveLength(1);
  });

  it('keeps its thread no longer than it can abort', async () => {
    const stop = new AbortController();
    const said = cells();
    const target = async (signal: AbortSignal, flags: Int32Array) => {
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
      Atomics.store(flags, 0, 1);
      await aborted;
      await new Promise(() => {});
    };
    const stuck = start(target, stop.signal, said);
    await until(() => said[0] === 1, 'it listens');
    stop.abort();
    await expect(stuck.result).rejects.toThrow('nothing is left to settle');
  });

  it.each([true, false])(
    'can not abort any more once it is collected, before it was heard of: %s',
    async (before) => {
      const said = cells();
      const target = async (signal: AbortSignal, flags: Int32Array) => {
        const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
        Atomics.store(flags, 0, 1);
        await aborted;
      };
      // In a function of its own, lest this one's frame hold the signal.
      const thread = (() => start(target, new AbortController().signal, said))();
      if (!before) await until(() => said[0] === 1, 'it listens');
      await collecting(thread);
      await expect(thread.result).rejects.toThrow('nothing is left to settle');
    },
  );

  it('tells why it aborted also where it was collected before it was heard of', async () => {
    const thread = (() => {
      const stop = new AbortController();
      const started = start(untilAborted, stop.signal, cells());
      stop.abort('early');
      return started;
    })();
    await collecting(thread);
    expect((await thread.result)[3]).toBe('early');
  });

  it('tells why it aborted as long as it is there, however many have since', async () => {
    const stop = new AbortController();
    const thread = start(untilAborted, stop.signal, cells());
    stop.abort('early');
    for (let n = 0; n < 1000; n += 1) {
      const other = new AbortController();
      shareSignal(other.signal);
      other.abort();
    }
    expect((await thread.result)[3]).toBe('early');
    expect(stop.signal.reason).toBe('early'); // Held until here.
  });

  it('keeps no thread alive that is not of its own, and comes back as what it was', () => {
    const alive = process.getActiveResourcesInfo();
    const handle: SignalHandle = { heddle: 'AbortSignal', id: 'nobody.1', word: cells() };
    const signal = attachSignal(handle);
    expect([attachSignal(handle) === signal, shareSignal(signal) === handle]).toEqual([true, true]);
    expect(process.getActiveResourcesInfo()).toEqual(alive);
  });
});
