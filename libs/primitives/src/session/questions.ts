/**
 * What a session asks others about waits: who holds what one is for, and what those wait for themselves. Redis tells who
 * holds, and passes the question on to their sessions, each of which answers for its own.
 */
import { now } from '../deadline.ts';
import type { Standing, Wanted } from './circle.ts';
import type { Incarnation } from './incarnation.ts';
import type { Keyspace } from './keys.ts';
import type { Partition } from './partition.ts';
import type { OwnWait, Target, WaitsAndHolds } from './waits-and-holds.ts';

/** What they need of their session. */
export interface AskingHost {
  readonly keyspace: Keyspace;
  partition(index: number): Partition;
}

/** Ms that a holder has to answer; one that does not is taken to be at work. */
const ANSWER_WITHIN = 250;

export class Questions {
  readonly #host: AskingHost;
  readonly #own: WaitsAndHolds;
  /** Those that are open, by number. */
  readonly #open = new Map<string, (answer: Standing | undefined, from: string) => void>();
  #asked = 0;

  constructor(host: AskingHost, own: WaitsAndHolds) {
    this.#host = host;
    this.#own = own;
  }

  /** What one waits for who stands so, and who is in its way; where it is `start`, that learns when it began. */
  async ask(start: OwnWait, standing: Standing): Promise<Wanted> {
    const { kind, name, form, permits } = standing.wait as Target;
    const { keyspace } = this.#host;
    const index = keyspace.partitionOf(name);
    const [state = '', holders = ''] = keyspace.of(kind, name, [
      'state',
      form === 'lock' ? 'state' : 'holders',
    ]);
    const life = await this.#host.partition(index).incarnation();
    this.#asked += 1;
    const question = String(this.#asked);
    const answers = new Map<string, Standing | undefined>();
    let arrived = () => {};
    this.#open.set(question, (answer, from) => {
      answers.set(from, answer);
      arrived();
    });
    try {
      const sent = now();
      const [is, time, free, ...parts] = await life.call(
        'deadlock.ask',
        [state, holders],
        [kind, name, question],
      );
      if (is !== 'held') return { standing, permits, free: permits, holders: [] };
      // Told to all alike from here on: known to within half the time of the way there and back.
      if (standing.wait?.id === start.id)
        start.joined ??= Math.round(Number(time) - ((sent + now()) / 2 - start.since) * 1000);
      const expected = parts.length / 3;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ANSWER_WITHIN);
        arrived = () => {
          if (answers.size < expected) return;
          clearTimeout(timer);
          resolve();
        };
        arrived();
      });
      const found = Array.from({ length: expected }, (_, at) => ({
        permits: Number(parts[3 * at + 2]),
        by: answers.get(`${parts[3 * at]}#${parts[3 * at + 1]}`),
      }));
      return { standing, permits, free: Number(free), holders: found };
    } finally {
      this.#open.delete(question);
    }
  }

  /** A message: a question to us, or the answer to one of ours. Throws for what is neither. */
  told(life: Incarnation, [what, from = '', question = '', ...rest]: readonly string[]): void {
    if (!/^[0-9a-f]{24}-\d{1,15}$/.test(from) || !/^\d{1,15}$/.test(question))
      throw new TypeError('no message of ours');
    if (what === 'ask' && rest.length === 3) {
      const [kind = '', name = '', id = ''] = rest;
      const text = JSON.stringify(this.#own.holderOf(kind, name, id) ?? null);
      void life.call('deadlock.tell', [], [from, question, id, text]).catch(() => {});
    } else if (what === 'tell' && rest.length === 2) {
      const [id = '', text = ''] = rest;
      this.#open.get(question)?.(parseStanding(text), `${from}#${id}`);
    } else {
      throw new TypeError('no message of ours');
    }
  }

  /** The session closes. */
  close(): void {
    this.#open.clear();
  }
}

/** An answer, as others may have spoiled it. */
function parseStanding(text: string): Standing | undefined {
  try {
    const said = JSON.parse(text) as Partial<Standing> | null;
    const { thread, label, token, wait } = said ?? {};
    if (typeof thread !== 'string' || typeof label !== 'string' || typeof token !== 'number')
      return undefined;
    if (wait === null) return { thread, label, token, wait };
    const { kind, name, form, permits, id, joined } = wait ?? {};
    const texts = [kind, name, id].every((value) => typeof value === 'string');
    if (!texts || (form !== 'lock' && form !== 'permits') || !Number.isSafeInteger(permits)) return undefined;
    if (joined !== undefined && !Number.isFinite(joined)) return undefined;
    return { thread, label, token, wait: wait as NonNullable<Standing['wait']> };
  } catch {
    return undefined;
  }
}
