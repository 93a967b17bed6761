/** Every way to run tasks on the threads of one host that is measured here, behind one door. */
import { Worker } from 'node:worker_threads';
import { ThreadPoolExecutor } from '@heddle/pool';
import { Piscina } from 'piscina';
import { FixedThreadPool } from 'poolifier';
import { Tinypool } from 'tinypool';
import { pool as workerpool } from 'workerpool';

/** How bare messages say what they are about. */
export interface Numbered {
  readonly id: number;
  readonly value: number;
}

/** Inputs in one job, or message, where many go together. */
export const CHUNK = 64;

export interface LocalPool {
  /** One task: nothing to do, or so many steps of computing. */
  run(steps: number): PromiseLike<unknown>;
  /** So many tasks, all asked for at once; left out: by `run`. */
  all?(count: number, steps: number): Promise<unknown>;
  /** What the user of a `map` sees, with chunks. */
  inChunks?(count: number): Promise<unknown>;
  close(): unknown;
}

const url = (name: string) => new URL(`./${name}`, import.meta.url);

async function heddle(threads: number): Promise<LocalPool> {
  const pool = new ThreadPoolExecutor<typeof import('./tasks.ts')>(url('tasks.ts'), { maxWorkers: threads });
  return {
    run: (steps) => (steps === 0 ? pool.submit('noop') : pool.submit('burn', steps)),
    async inChunks(count) {
      const inputs = Array.from({ length: count }, () => 0) as never[];
      let results = 0;
      for await (const _ of pool.map('noop', inputs, { chunksize: CHUNK })) results += 1;
      if (results !== count) throw new Error(`${results} results of ${count}`);
    },
    close: () => pool.shutdown(),
  };
}

/** A promise for each input, which its answer resolves, and nothing else. */
async function bare(threads: number): Promise<LocalPool> {
  const workers = Array.from({ length: threads }, () => new Worker(url('bare.thread.ts')));
  const asked = new Map<number, (value: number) => void>();
  const settle = ({ id, value }: Numbered) => {
    asked.get(id)?.(value);
    asked.delete(id);
  };
  for (const worker of workers) {
    worker.on('message', (answer: Numbered | Numbered[]) => {
      if (Array.isArray(answer)) for (const each of answer) settle(each);
      else settle(answer);
    });
  }
  let [turn, last] = [0, 0];
  const post = (message: Numbered | Numbered[]) => {
    turn = (turn + 1) % threads;
    workers[turn]?.postMessage(message);
  };
  const input = (value: number) => {
    last += 1;
    return { id: last, value };
  };
  const answer = ({ id }: Numbered) => new Promise<number>((resolve) => asked.set(id, resolve));
  return {
    run(steps) {
      const one = input(steps);
      post(one);
      return answer(one);
    },
    inChunks(count) {
      const answers: Promise<number>[] = [];
      for (let n = 0; n < count; n += CHUNK) {
        const chunk = Array.from({ length: Math.min(CHUNK, count - n) }, () => input(0));
        post(chunk);
        answers.push(...chunk.map(answer));
      }
      return Promise.all(answers);
    },
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}

/** Numbers there and back, and a count of them: what is left out is what a caller needs. */
async function counting(threads: number): Promise<LocalPool> {
  const workers = Array.from({ length: threads }, () => new Worker(url('bare.thread.ts')));
  let missing = 0;
  let done = () => {};
  for (const worker of workers) {
    worker.on('message', (answer: number | number[]) => {
      missing -= typeof answer === 'number' ? 1 : answer.length;
      if (missing === 0) done();
    });
  }
  let turn = 0;
  const post = (message: number | number[]) => {
    turn = (turn + 1) % threads;
    workers[turn]?.postMessage(message);
  };
  const answers = (count: number) =>
    new Promise<void>((resolve) => {
      missing = count;
      done = resolve;
    });
  return {
    run(steps) {
      post(steps);
      return answers(1);
    },
    all(count, steps) {
      for (let n = 0; n < count; n += 1) post(steps);
      return answers(count);
    },
    inChunks(count) {
      for (let n = 0; n < count; n += CHUNK) post(new Array(Math.min(CHUNK, count - n)).fill(0));
      return answers(count);
    },
    close: () => Promise.all(workers.map((worker) => worker.terminate())),
  };
}

function piscina(concurrentTasksPerWorker: number) {
  return async (threads: number): Promise<LocalPool> => {
    const filename = url('tasks.ts').href;
    const pool = new Piscina({
      filename,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker,
    });
    return { run: (steps) => pool.run(steps), close: () => pool.destroy() };
  };
}

async function tinypool(threads: number): Promise<LocalPool> {
  const filename = url('tasks.ts').href;
  const pool = new Tinypool({ filename, minThreads: threads, maxThreads: threads });
  return { run: (steps) => pool.run(steps), close: () => pool.destroy() };
}

async function workerpools(threads: number): Promise<LocalPool> {
  const pool = workerpool(url('workerpool.thread.ts').pathname, {
    minWorkers: threads,
    maxWorkers: threads,
    workerType: 'thread',
  });
  return {
    run: (steps) => (steps === 0 ? pool.exec('noop') : pool.exec('burn', [steps])),
    close: () => pool.terminate(),
  };
}

async function poolifier(threads: number): Promise<LocalPool> {
  const pool = new FixedThreadPool<number, number>(threads, url('poolifier.thread.ts').pathname);
  return {
    run: (steps) => (steps === 0 ? pool.execute(0, 'noop') : pool.execute(steps, 'burn')),
    close: () => pool.destroy(),
  };
}

/** What no pool can be much faster than. */
export const BARE = 'bare postMessage';
export const HEDDLE = 'Heddle';

export const localWays: Readonly<Record<string, (threads: number) => Promise<LocalPool>>> = {
  [BARE]: bare,
  'bare, answers only counted': counting,
  [HEDDLE]: heddle,
  Piscina: piscina(1),
  'Piscina, 16 at a time': piscina(16),
  tinypool,
  workerpool: workerpools,
  poolifier,
};
