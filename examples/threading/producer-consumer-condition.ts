/**
 * A producer and a consumer share a shelf with room for two. Each waits under a condition for what it needs, room or a
 * piece, and tells the other what it has changed: the textbook's bounded buffer.
 *
 *     the consumer had: 1, 2, 3, 4, 5, 6, 7, 8
 *     on the shelf at the end: 0; most at once: 2 or less
 */
import { Condition, Thread } from '@heddle/primitives';

/** `shelf`: how many pieces, the most there were, and the pieces. */
function produce(condition: Condition, shelf: Int32Array, pieces: number): void {
  for (let piece = 1; piece <= pieces; piece += 1) {
    condition.withSync(() => {
      condition.waitForSync(() => Number(shelf[0]) < 2);
      shelf[2 + Number(shelf[0])] = piece;
      shelf[0] = Number(shelf[0]) + 1;
      shelf[1] = Math.max(Number(shelf[1]), Number(shelf[0]));
      condition.notifyAll();
    });
  }
}

async function consume(condition: Condition, shelf: Int32Array, pieces: number): Promise<number[]> {
  const had: number[] = [];
  while (had.length < pieces) {
    await condition.with(async () => {
      await condition.waitFor(() => Number(shelf[0]) > 0);
      had.push(Number(shelf[2]));
      shelf.copyWithin(2, 3); // the next one moves up
      shelf[0] = Number(shelf[0]) - 1;
      condition.notifyAll();
    });
  }
  return had;
}

const condition = new Condition();
const shelf = new Int32Array(new SharedArrayBuffer(16));
const producer = new Thread({ target: produce, args: [condition, shelf, 8] });
producer.start();
console.log('the consumer had:', (await consume(condition, shelf, 8)).join(', '));
await producer.result;
console.log(
  `on the shelf at the end: ${shelf[0]}; most at once: ${Number(shelf[1]) <= 2 ? '2 or less' : shelf[1]}`,
);
