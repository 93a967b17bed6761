import { describe, expect, it, vi } from 'vitest';
import { InvalidStateError } from '../errors.ts';
import { Queue, SimpleQueue } from '../queue/queue.local.ts';
import { until } from '../testing/waiting.ts';
import { Thread } from '../thread/thread.local.ts';
import { memoryOf } from './carried-memory.ts';
import { share } from './share.ts';

// A thread takes seconds to start on a machine that is busy with others.
vi.setConfig({ testTimeout: 90_000 });

type Memories = SimpleQueue<SharedArrayBuffer>;

describe('shared memory in an item', () => {
  it.each([true, false])(
    'is there for who takes it while all others block (put before the thread came: %s)',
    (before) => {
      const there = new SimpleQueue<SharedArrayBuffer>();
      const said = new Int32Array(new SharedArrayBuffer(4));
      const target = (queue: Memories, flags: Int32Array) => {
        Atomics.store(flags, 0, 1);
        Atomics.notify(flags, 0);
        return new Int32Array(queue.getSync())[0];
      };
      const memory = new SharedArrayBuffer(4);
      new Int32Array(memory)[0] = 7;
      if (before) there.putSync(memory);
      const thread = new Thread({ target, args: [there, said] });
      thread.start();
      if (!before) {
        Atomics.wait(said, 0, 0);
        there.putSync(memory);
      }
      expect(thread.joinSync({ timeout: 60_000 })).toBe(true);
      return expect(thread.result).resolves.toBe(7);
    },
  );

  it('is held for as many items as it is in, and no longer, by all threads that have queues', async () => {
    const [there, other] = [new SimpleQueue<SharedArrayBuffer>(), new Queue<number>()];
    const said = new Int32Array(new SharedArrayBuffer(4));
    const memory = new SharedArrayBuffer(4);
    const here = () => share(there).carried?.map(({ items, memory }) => [items, memory.byteLength]);
    await there.put(memory);
    await there.put(memory);
    expect(here()).toEqual([[2, 4]]);
    const target = async (url: string, queue: Memories, _: Queue<number>, flags: Int32Array) => {
      const { share } = (await import(url)) as typeof import('./share.ts');
      const onTheWay = () => share(queue).carried?.map(({ items, memory }) => [items, memory.byteLength]);
      const seen = [onTheWay()];
      for (let n = 0; n < 3; n += 1) {
        queue.getSync();
        seen.push(onTheWay());
        Atomics.store(flags, 0, n + 1);
      }
      return seen;
    };
    const url = new URL('./share.ts', import.meta.url).href;
    const thread = new Thread({ target, args: [url, there, other, said] });
    thread.start();
    await until(() => said[0] === 2, 'both are taken');
    expect(here()).toEqual([]);
    await there.put(memory);
    expect(await thread.result).toEqual([[[2, 4]], [[1, 4]], [], []]);
    expect(here()).toEqual([]);
  });

  it('that nobody has is not waited for for ever', () => {
    const clock = vi.spyOn(process, 'hrtime').mockReturnValueOnce([1, 0]).mockReturnValue([7, 0]);
    expect(() => memoryOf([1_000_000, 1])).toThrow(InvalidStateError);
    clock.mockRestore();
  });
});
