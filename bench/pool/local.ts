/** Pools of threads on one host, side by side: two threads, tasks that do nothing, one that waits, tasks that compute. */
import { spawnSync } from 'node:child_process';
import { printTable } from '../distributed/statistics.ts';
import { Contender, inTurn } from './contenders.ts';
import { BARE, CHUNK, localWays } from './local-ways.ts';

const THREADS = 2;
const ROUNDS = 15;
const PYTHON = ["Python's ThreadPoolExecutor", "Python's ProcessPoolExecutor"];
const TASKS = 10_000;
const INPUTS = 64_000;
const LATENCIES = 300;
/** Tasks that compute in a round, and their steps: some 20 ms here; Python takes as long for fewer. */
const BURNS = 60;
const STEPS = 10_000_000;
const PYTHON_STEPS = 100_000;

export async function local(): Promise<void> {
  const python = spawnSync('python3', ['--version']).status === 0 ? PYTHON : [];
  const contenders = [...Object.keys(localWays).map(Contender.node), ...python.map(Contender.python)];
  try {
    for (const contender of contenders) await contender.ask({ what: 'open', threads: THREADS });
    const bare = contenders.find(({ name }) => name === BARE) as Contender;
    const table = (what: string, head: readonly string[], cells: (each: Contender) => string[]) =>
      printTable(
        `${THREADS} threads: ${what}`,
        ['', ...head],
        contenders.map((each) => [each.name, ...cells(each)]),
      );
    const perSecond = (seconds: Map<string, number>, of: number) => (each: Contender) =>
      few(each, of) / (seconds.get(each.name) ?? Number.NaN);
    const inputs = perSecond(
      await inTurn(contenders, ROUNDS, (each) => ({ what: 'chunked', count: few(each, INPUTS) })),
      INPUTS,
    );
    table(`no-op tasks in chunks of ${CHUNK}`, ['inputs/s', '× bare'], (each) => [
      orNothing(inputs(each), 0),
      orNothing(inputs(each) / inputs(bare), 2),
    ]);
    const latencies = await inTurn(contenders, ROUNDS, { what: 'latency', count: LATENCIES });
    table('one task at a time', ['µs'], ({ name }) => [
      orNothing(1e6 * (latencies.get(name) ?? Number.NaN), 0),
    ]);
    const rate = perSecond(
      await inTurn(contenders, ROUNDS, (each) => ({ what: 'rate', count: few(each, TASKS) })),
      TASKS,
    );
    const processor = await processorTimes(contenders);
    table('no-op tasks', ['tasks/s', '× bare', 'µs of processors a task'], (each) => [
      orNothing(rate(each), 0),
      orNothing(rate(each) / rate(bare), 2),
      orNothing((1e6 * (processor.get(each.name) ?? Number.NaN)) / TASKS, 1),
    ]);
    const scaling = await computing(contenders);
    table('tasks that compute, beside one thread', ['×'], ({ name }) => [
      orNothing(scaling.get(name) ?? Number.NaN, 2),
    ]);
  } finally {
    await Promise.all(contenders.map((each) => each.close()));
  }
}

/** Python's processes would take minutes for as many. */
const few = ({ name }: Contender, count: number): number => (name === PYTHON[1] ? count / 4 : count);

const orNothing = (value: number, digits: number): string =>
  Number.isNaN(value) ? '' : value.toFixed(digits);

/** Seconds of processor time for one round of no-op tasks; Python does not tell. */
async function processorTimes(contenders: readonly Contender[]): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const each of contenders.filter(({ name }) => !name.startsWith('Python'))) {
    const before = await each.ask({ what: 'processor' });
    await each.ask({ what: 'rate', count: TASKS });
    times.set(each.name, (await each.ask({ what: 'processor' })) - before);
  }
  return times;
}

/** How many times faster than one thread. */
async function computing(contenders: readonly Contender[]): Promise<Map<string, number>> {
  const times: Map<string, number>[] = [];
  for (const threads of [1, THREADS]) {
    for (const contender of contenders) await contender.ask({ what: 'open', threads });
    times.push(
      await inTurn(
        contenders,
        5,
        ({ name }) => ({
          what: 'burn',
          count: BURNS,
          steps: name.startsWith('Python') ? PYTHON_STEPS : STEPS,
        }),
        1,
      ),
    );
  }
  const [one, many] = times;
  return new Map(
    contenders.map(({ name }) => [name, (one?.get(name) ?? Number.NaN) / (many?.get(name) ?? Number.NaN)]),
  );
}
