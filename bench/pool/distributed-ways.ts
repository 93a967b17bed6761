/** Ways to run jobs from Redis that are measured here: who puts jobs in, and the host that runs them, in two processes. */
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import task from './tasks.ts';

/** Inputs in one job of a `map`. */
export const CHUNK = 100;

/** Puts jobs in and gets their results back. */
export interface Submitter {
  /** So many jobs, nothing to do in each, or so many steps of computing. */
  all(count: number, steps: number): Promise<unknown>;
  /** The same, of a `map` with chunks. */
  inChunks?(count: number): Promise<unknown>;
  /** One of many Futures that will wait for long. */
  later?(): object;
}

export interface DistributedWay {
  submitter(url: string): Promise<Submitter>;
  host(url: string, threads: number): Promise<unknown>;
}

const TASKS = new URL('./tasks.ts', import.meta.url);

function heddle(): DistributedWay {
  const queue = 'bench';
  return {
    async submitter(url) {
      const session = await connect(url);
      const executor = new DistributedExecutor<typeof import('./tasks.ts')>(queue, { session });
      const later = executor.with({ delay: 3_600_000 });
      return {
        all: (count, steps) =>
          Promise.all(
            Array.from({ length: count }, () =>
              steps === 0 ? executor.submit('noop') : executor.submit('burn', steps),
            ),
          ),
        async inChunks(count) {
          const inputs = Array.from({ length: count }, () => 0) as never[];
          let results = 0;
          for await (const _ of executor.map('noop', inputs, { chunksize: CHUNK })) results += 1;
          if (results !== count) throw new Error(`${results} results of ${count}`);
        },
        later: () => later.submit('noop'),
      };
    },
    async host(url, threads) {
      const session = await connect(url);
      const host = new WorkerHost(queue, { session, tasks: TASKS, threads });
      await host.start();
    },
  };
}

/** `sandboxed`: in threads of BullMQ's own, as many as its concurrency; else in the host's main thread. */
function bullmq(concurrency: number, sandboxed: boolean): DistributedWay {
  const name = `bench-${concurrency}-${sandboxed}`;
  const connectTo = (url: string) => new Redis(url, { maxRetriesPerRequest: null });
  return {
    async submitter(url) {
      const queue = new Queue(name, { connection: connectTo(url) });
      const events = new QueueEvents(name, { connection: connectTo(url) });
      await events.waitUntilReady();
      // One listener for all: `waitUntilFinished` has one, and asks Redis, for each.
      const asked = new Map<string, (value: unknown) => void>();
      events.on('completed', ({ jobId, returnvalue }) => {
        asked.get(jobId)?.(returnvalue);
        asked.delete(jobId);
      });
      let last = 0;
      return {
        async all(count, steps) {
          const answers: Promise<unknown>[] = [];
          const jobs = Array.from({ length: count }, () => {
            last += 1;
            const jobId = `${process.pid}-${last}`;
            answers.push(new Promise((resolve) => asked.set(jobId, resolve)));
            return {
              name: 'task',
              data: steps,
              opts: { jobId, removeOnComplete: { age: 3600, count: 100_000 } },
            };
          });
          for (let at = 0; at < count; at += 1000) await queue.addBulk(jobs.slice(at, at + 1000));
          await Promise.all(answers);
        },
      };
    },
    async host(url) {
      const work = sandboxed
        ? new URL('./bullmq.thread.ts', import.meta.url)
        : async ({ data }: { data: number }) => task(data);
      const worker = new Worker<number>(name, work, {
        connection: connectTo(url),
        concurrency,
        useWorkerThreads: sandboxed,
      });
      await worker.waitUntilReady();
    },
  };
}

/** As it comes: a job at a time in each thread. */
export const HOST = 'Heddle, through Redis';

export const distributedWays: Readonly<Record<string, DistributedWay>> = {
  'BullMQ in-process, 10 at a time': bullmq(10, false),
  'BullMQ sandboxed, 2 threads': bullmq(2, true),
  'BullMQ sandboxed, 10 threads': bullmq(10, true),
  [HOST]: heddle(),
};
