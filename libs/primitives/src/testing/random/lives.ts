/**
 * Lives that are nothing but entries in Redis, and that ask, hear, turn deaf, die and are swept one script at a time, by a
 * seeded chance: what one seed does, it does again. After each script all messages there were have come.
 */
import { Redis } from 'ioredis';
import { operations } from '../../machinery.distributed.ts';
import { Keyspace, parseRecord } from '../../session/keys.ts';
import { Scripts, scriptTexts } from '../../session/lua.ts';
import { type Answer, CallSite, type Invocation, runOperations } from '../../session/run-operations.ts';
import { keysOfRecord, type RecordKinds } from '../../session/sweep.ts';
import { TOKEN_BLOCK } from '../../session/tokens.ts';

import { type Chance, chance } from '../faults/random.ts';

const HOUR = 3_600_000;
const GONE = 'gone';
let games = 0;

export interface Life {
  readonly id: string;
  hears: boolean;
  alive: boolean;
  swept: boolean;
  seq: number;
}

/** What a life was told: the kind, and the words after its own id. */
export type Told = (life: Life, words: readonly string[]) => void;

export class Lives {
  readonly chance: Chance;
  readonly all: Life[] = [];
  readonly keyspace: Keyspace;
  readonly redis: Redis;
  readonly #ears: Redis;
  readonly #scripts: Scripts;
  readonly #site: CallSite;
  readonly #kinds: RecordKinds;
  readonly #sweeps = new Map<Life, Invocation[]>();
  /** The last that was done, for who asks what led there. */
  readonly log: string[] = [];
  /** Who was told last that there is more to do: its death would be at the worst moment. */
  owes: Life | undefined;
  /** Who asks, or none, in the step of now. */
  asker: Life | undefined;
  told: Told = () => {};
  #wrong: unknown;

  constructor(url: string, kinds: RecordKinds, seed: number, bound: number) {
    games += 1;
    this.keyspace = new Keyspace(`random ${process.pid} ${games}`, 1);
    this.#site = new CallSite(this.keyspace, 0, HOUR, false);
    this.chance = chance(seed);
    this.redis = new Redis(url);
    this.#ears = new Redis(url);
    this.#kinds = kinds;
    const texts = scriptTexts(operations);
    const bounded = (text: string) => text.replace(/local BOUND = \d+/, `local BOUND = ${bound}`);
    const families = Object.fromEntries(
      Object.entries(texts.families).map(([family, text]) => [family, bounded(text)]),
    );
    this.#scripts = new Scripts({ all: bounded(texts.all), families });
    this.#ears.on('message', (channel: string, text: string) => {
      const session = channel.slice(this.keyspace.inbox(0).length);
      const [, id, ...words] = text.split('\n');
      const life = this.all.find((each) => each.id.startsWith(session) && each.id === id);
      this.log.push(`  ${life?.id.slice(20)} hears ${words.join(' ')}`);
      try {
        if (life?.alive) this.told(life, words);
      } catch (error) {
        this.#wrong ??= error;
      }
    });
  }

  pick<T>(from: readonly T[]): T {
    return from[this.chance.between(0, from.length - 1)] as T;
  }

  /** One time in `n`. */
  once(n: number): boolean {
    return this.chance.between(1, n) === 1;
  }

  get living(): Life[] {
    return this.all.filter(({ alive }) => alive);
  }

  /** Whether nothing dead is left to be swept. */
  get clean(): boolean {
    return this.all.every(({ alive, swept }) => alive || swept);
  }

  /** The same, and all hear. */
  get calm(): boolean {
    return this.clean && this.living.every(({ hears }) => hears);
  }

  async open(): Promise<Life> {
    const id = `${(this.all.length + 1).toString(16).padStart(24, '0')}-1`;
    const { ring, members, sessions } = this.keyspace.shared(0);
    await this.redis.zadd(sessions, '1e16', id);
    await this.redis.zadd(ring, 0, id);
    await this.redis.hset(members, id, '{}');
    const life = { id, hears: false, alive: true, swept: false, seq: 0 };
    this.all.push(life);
    await this.hear(life);
    return life;
  }

  #channel(life: Life): string {
    return this.keyspace.inbox(0) + life.id.slice(0, 24);
  }

  async hear(life: Life): Promise<void> {
    await this.#ears.subscribe(this.#channel(life));
    life.hears = true;
  }

  async turnDeaf(life: Life): Promise<void> {
    this.log.push(`${life.id.slice(20)} turns deaf`);
    await this.#ears.unsubscribe(this.#channel(life));
    life.hears = false;
  }

  async die(life: Life): Promise<void> {
    this.log.push(`${life.id.slice(20)} dies`);
    await this.redis.zadd(this.keyspace.shared(0).sessions, 1, life.id);
    life.alive = false;
    if (this.once(2)) await this.turnDeaf(life);
  }

  /** One call of so many operations, once in a while sent again under its number. */
  async ask(life: Life, ...invocations: Invocation[]): Promise<Answer[]> {
    life.seq += 1;
    this.asker = life;
    const { calls } = this.keyspace.ofSession(0, life.id);
    const envelope = {
      caller: life.id,
      calls,
      epoch: 1,
      seq: life.seq,
      slot: 0,
      before: undefined,
      read: '',
    };
    const run = () => runOperations(this.redis, this.#scripts, this.#site, invocations, envelope);
    const reply = (await run()) as unknown[];
    const said = invocations.map(({ operation, args }) => `${operation} ${args.join(' ')}`).join(', ');
    this.log.push(`${life.id.slice(20)} ${said} -> ${JSON.stringify(reply)}`);
    await this.#heard();
    if (this.once(10)) {
      const again = JSON.stringify(await run());
      await this.#heard();
      if (again !== JSON.stringify(reply)) throw new Error(`a repeated call: ${again}`);
    }
    this.owes = JSON.stringify(reply).includes('"more"') ? life : undefined;
    if (reply[0] !== 'ok') throw new Error(`${said}: ${reply}`);
    const answers = reply.slice(1) as Answer[];
    for (const [tag, why] of answers) if (tag === 'error') throw new Error(`${said}: ${why}`);
    return answers;
  }

  async nobody(...invocations: Invocation[]): Promise<Answer[]> {
    const reply = (await runOperations(this.redis, this.#scripts, this.#site, invocations)) as unknown[];
    this.log.push(
      `sweep ${invocations.map(({ operation, args }) => `${operation} ${args.join(' ')}`)} -> ${JSON.stringify(reply)}`,
    );
    await this.#heard();
    for (const [tag, why] of reply.slice(1) as Answer[])
      if (tag === 'error') throw new Error(`${invocations[0]?.operation}: ${why}`);
    return reply.slice(1) as Answer[];
  }

  async #heard(): Promise<void> {
    await this.#ears.ping();
    if (this.#wrong !== undefined) throw this.#wrong;
  }

  async listed(life: Life): Promise<string[]> {
    return this.redis.zrangebyscore(this.keyspace.ofSession(0, life.id).holds, '-inf', '(inf');
  }

  keys(kind: string, name: string, parts: readonly string[]): string[] {
    return this.keyspace.of(kind, name, parts, 0);
  }

  holds(life: Life): string {
    return this.keyspace.ofSession(0, life.id).holds;
  }

  /** One step of the sweep of one that is dead; gives what was dropped, and what that came to. */
  async sweep(life: Life): Promise<{ readonly dropped: Invocation; readonly is: string } | undefined> {
    const due = this.#sweeps.get(life) ?? [];
    const next = due.shift();
    if (next !== undefined) {
      const [[is = GONE] = []] = await this.nobody(next);
      return { dropped: next, is };
    }
    const { calls, holds } = this.keyspace.ofSession(0, life.id);
    const { ring, members } = this.keyspace.shared(0);
    const [answer = []] = await this.nobody({
      operation: 'session.sweep',
      keys: [calls, ring, members, holds],
      args: [life.id],
    });
    if (answer[0] === 'swept') {
      life.swept = true;
      if (life.hears) await this.turnDeaf(life);
    }
    if (answer[0] !== 'left') return undefined;
    const drops = answer.slice(1).map((text): Invocation => {
      const record = parseRecord(text);
      const kind = record && this.#kinds[record.kind];
      if (record === undefined || kind === undefined) throw new Error(`no record: ${text}`);
      return {
        operation: kind.drop,
        keys: [...keysOfRecord(this.keyspace, this.#kinds, 0, record), holds],
        args: [record.name, record.id, life.id, TOKEN_BLOCK, record.kind],
      };
    });
    this.#sweeps.set(life, drops);
    return undefined;
  }

  end(): void {
    this.redis.disconnect();
    this.#ears.disconnect();
  }
}
