/** What the two threads of a queue measurement do: one sends `times` small objects, the other takes them. */
import type { MessagePort } from 'node:worker_threads';
import type { Queue } from '@heddle/primitives';

/** What travels. */
export interface Parcel {
  readonly id: number;
  readonly name: string;
  readonly n: number;
}

export type Way = 'MessagePort' | 'async' | 'sync';

export const parcel = (id: number): Parcel => ({ id, name: `parcel ${id}`, n: id / 2 });

/** Sends them all, as fast as the way allows. */
export async function send(way: Way, queue: Queue<Parcel>, port: MessagePort, times: number): Promise<void> {
  for (let id = 0; id < times; id += 1) {
    if (way === 'MessagePort') port.postMessage(parcel(id));
    else if (way === 'async') await queue.put(parcel(id));
    else queue.putSync(parcel(id));
  }
}

/** Takes them all; the sum of their numbers shows that they came. */
export async function receive(
  way: Way,
  queue: Queue<Parcel>,
  port: MessagePort,
  times: number,
): Promise<number> {
  let sum = 0;
  if (way === 'MessagePort') {
    await new Promise<void>((resolve) => {
      let left = times;
      const take = (item: Parcel) => {
        sum += item.id;
        left -= 1;
        if (left > 0) return;
        port.off('message', take);
        resolve();
      };
      port.on('message', take);
    });
    return sum;
  }
  for (let n = 0; n < times; n += 1) sum += (way === 'async' ? await queue.get() : queue.getSync()).id;
  return sum;
}
