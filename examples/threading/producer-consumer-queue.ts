/**
 * The same with a queue, which has the shelf, the condition and the bound inside: two producers, two consumers. When
 * every piece has been dealt with the queue is shut down, and the consumers' loops end.
 *
 *     every piece was dealt with: true
 *     the consumers had 20 pieces in all, each once: true
 */
import { Queue, Thread } from '@heddle/primitives';

interface Piece {
  readonly maker: string;
  readonly number: number;
}

function produce(queue: Queue<Piece>, maker: string): void {
  for (let number = 1; number <= 10; number += 1) queue.putSync({ maker, number });
}

async function consume(queue: Queue<Piece>): Promise<string[]> {
  const had: string[] = [];
  for await (const { maker, number } of queue) {
    had.push(`${maker}${number}`);
    queue.taskDone();
  }
  return had;
}

const queue = new Queue<Piece>({ maxsize: 4 });
const producers = ['a', 'b'].map((maker) => new Thread({ target: produce, args: [queue, maker] }));
const consumers = [1, 2].map(() => new Thread({ target: consume, args: [queue] }));
for (const thread of [...producers, ...consumers]) thread.start();
for (const producer of producers) await producer.result;

console.log('every piece was dealt with:', await queue.join());
queue.shutdown();
const had = (await Promise.all(consumers.map((consumer) => consumer.result))).flat();
console.log(`the consumers had ${had.length} pieces in all, each once: ${new Set(had).size === had.length}`);
