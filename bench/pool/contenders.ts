/** Contenders, each in a process of its own that is told what to do, and rounds in which each has its turn. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { median } from '../distributed/statistics.ts';
import type { Answer, Order } from './orders.ts';

/** Ms that a contender has to end. */
const PATIENCE = 2000;

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export class Contender {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(name: string, command: string, args: readonly string[]) {
    this.name = name;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('error', () => {}); // `ask` finds out
    const input = this.#child.stdout as NonNullable<ChildProcess['stdout']>; // piped
    this.#lines = createInterface({ input })[Symbol.asyncIterator]();
  }

  /** A way of `local-ways.ts` or `distributed-ways.ts`. */
  static node(name: string): Contender {
    const args = [
      ...process.execArgv.filter((arg) => arg !== '--expose-gc'),
      '--expose-gc',
      here('contender.process.ts'),
      name,
    ];
    return new Contender(name, process.execPath, args);
  }

  /** A class of `pools.py`. */
  static python(name: string): Contender {
    return new Contender(name, 'python3', [here('pools.py'), name]);
  }

  async ask(order: Order): Promise<number> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    const { value: line, done } = await this.#lines.next();
    if (done === true) throw new Error(`${this.name}: the process ended`);
    const answer = JSON.parse(line) as Answer;
    if ('error' in answer) throw new Error(`${this.name}: ${answer.error}`);
    return answer.value ?? Number.NaN;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined)
      return;
    const exit = once(this.#child, 'exit');
    // By itself, so that it ends what it started; a Python that is killed leaves its processes behind.
    this.#child.stdin?.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE);
    await exit;
    clearTimeout(late);
    this.#child.stdout?.destroy();
  }
}

/** Rounds that only warm up: the compiler takes its time with a pool's code. */
const WARM_UPS = 10;

/** The median of each contender over the rounds, after those that warm up. */
export async function inTurn(
  contenders: readonly Contender[],
  rounds: number,
  order: Order | ((contender: Contender) => Order),
  warmUps = WARM_UPS,
): Promise<Map<string, number>> {
  const measured = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const contender of contenders) {
      const value = await contender.ask(typeof order === 'function' ? order(contender) : order);
      if (round >= 0) measured.get(contender.name)?.push(value);
    }
  }
  return new Map([...measured].map(([name, values]) => [name, median(values)]));
}
