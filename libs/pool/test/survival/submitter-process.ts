/**
 * A submitter in a process of its own: `submitter-process.ts <redis url> <namespace>`. Submits what it is told to, looks for
 * jobs that another has left, and tells of each Future that has ended. It ends by itself when nothing is left of it.
 */
import { DistributedExecutor, type Future } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import type { PlannedJob } from './plan.ts';

export type ToSubmitter =
  | { readonly submit: readonly PlannedJob[] }
  | { readonly follow: readonly (readonly [n: number, id: string])[] }
  | { readonly finish: true };

export type FromSubmitter =
  | { readonly ready: true }
  | { readonly accepted: number; readonly id: string }
  | { readonly ended: number; readonly id: string; readonly outcome: string };

const [url = '', namespace = ''] = process.argv.slice(2);
const session = await connect(url, { namespace, ttl: 1000, connectTimeout: 30_000 });
const plain = new DistributedExecutor('survival', { session });
const often = plain.with({ retries: 50, backoff: { type: 'fixed', delay: 20, jitter: 0.5 } });
const timed = plain.with({ timeout: 150 });

const tell = (message: FromSubmitter) => process.send?.(message);

function submit([n, kind]: PlannedJob): Future<unknown> {
  if (kind === 'spin') return timed.submit('spin', n);
  if (kind === 'flaky') return often.submit('flaky', n);
  if (kind === 'held') return often.with({ holding: `lock ${n % 3}` }).submit('held', n);
  return plain.submit(kind, n);
}

async function outcomeOf(future: Future<unknown>): Promise<string> {
  try {
    const value = await future;
    return `value ${typeof value === 'number' ? value : (value as { square: number }).square}`;
  } catch (error) {
    const { name, message } = error as Error;
    return /^(RangeError|ThreadCrashedError|TimeoutError)$/.test(name) ? name : `${name}: ${message}`;
  }
}

function watch(n: number, future: Future<unknown>): void {
  // The callback is called once, or the spec finds two ends of one job.
  future.addDoneCallback((done) => {
    void outcomeOf(done).then((outcome) => tell({ ended: n, id: done.id, outcome }));
  });
}

process.on('message', async (message: ToSubmitter) => {
  if ('submit' in message) {
    for (const job of message.submit) {
      const future = submit(job);
      watch(job[0], future);
      future.accepted.then(
        () => tell({ accepted: job[0], id: future.id }),
        () => {},
      );
    }
  } else if ('follow' in message) {
    for (const [n, id] of message.follow) watch(n, plain.future(id));
  } else {
    await plain.shutdown();
    await session.close();
    process.disconnect();
  }
});
tell({ ready: true });
