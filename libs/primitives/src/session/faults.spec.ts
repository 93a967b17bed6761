/**
 * Faults, one at a time, while three processes use every primitive; a checker then looks at all they did. `HEDDLE_FAULTS_MS`
 * is how long each lasts at least (1,000 in the short profile; `npm run test:faults` runs the long one), and
 * `HEDDLE_FAULTS_OPERATIONS` how many operations there must be (none in the short one); `HEDDLE_FAULTS_SEED` the chance
 * of clients and strikes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { buffered } from '../testing/faults/bounded-buffer.ts';
import { wrongOf } from '../testing/faults/checks.ts';
import { ClientProcess } from '../testing/faults/clients.ts';
import { type Crew, FAULTS, type Fault, TTL } from '../testing/faults/faults.ts';
import { emptyHistory, type History, type Hold, merge } from '../testing/faults/history.ts';
import { watchLines } from '../testing/faults/line-watch.ts';
import { chance } from '../testing/faults/random.ts';
import { entriesOf, leftBehind, leftStanding, listed } from '../testing/faults/remains.ts';
import { limitOf } from '../testing/faults/setting.ts';
import type { Stage } from '../testing/faults/stages.ts';
import { until } from '../testing/waiting.ts';
import { Keyspace } from './keys.ts';

const LASTS = Number(process.env.HEDDLE_FAULTS_MS ?? 1_000);
const LONG = LASTS >= 10_000;
const ENOUGH = Number(process.env.HEDDLE_FAULTS_OPERATIONS ?? (LONG ? 10_000 : 0));
const SEED = Number(process.env.HEDDLE_FAULTS_SEED ?? 1);
/** It is given up after so many times as long. */
const LONGEST = 10;
const CLIENTS = 3;
/** Between two strikes, ms; in the long profile so many operations, and as long as the strike itself lasted. */
const BETWEEN = { least: 250, most: 6_000, operations: 250 };

/** Queues, by their names. */
const QUEUES = ['queue q', 'lifo l', 'priority p'];
/** Ms within which a taker who was notified takes what is there. */
const WAKES_WITHIN = 15_000;
/** Ms within which nothing is left of a wait that was given up. */
const SETTLES_WITHIN = 5_000;

/** No item waits, and none is out with a taker who has not said yet that it has it. */
async function allTaken({ admin, partitions }: Stage): Promise<boolean> {
  const taken = QUEUES.map(async (name) => {
    const keys = new Keyspace('heddle', partitions).of('queue', name, ['outcomes', 'items']);
    const [outcomes = '', items = ''] = keys;
    const given = await admin.hvals(outcomes).catch(() => ['item']);
    return (
      given.every((outcome) => !outcome.startsWith('item')) &&
      (await admin.exists(items).catch(() => 1)) === 0
    );
  });
  return (await Promise.all(taken)).every(Boolean);
}

/** Whoever was to be woken has been: nothing lies in the buffer while others wait for it. */
async function lostWakeUps({ terms }: Stage): Promise<string[]> {
  const values = new Redis(terms.direct);
  try {
    for (const end = performance.now() + WAKES_WITHIN; (await buffered(values)) > 0; await sleep(20)) {
      if (performance.now() > end)
        return [`a wake-up was lost: ${await buffered(values)} left in the buffer, and nobody takes it`];
    }
    return [];
  } finally {
    values.disconnect();
  }
}

/** What nobody waits for and nobody holds any more, and stands in Redis all the same some seconds later. */
async function leftByLiving(stage: Stage): Promise<string[]> {
  for (const end = performance.now() + SETTLES_WITHIN; ; await sleep(20)) {
    const left = leftStanding(await entriesOf(stage.admin, await stage.keys()));
    if (left.length === 0 || performance.now() > end) return left;
  }
}

/** Processes at work. */
class Players implements Crew {
  readonly chance = chance(SEED);
  readonly #stage: Stage;
  readonly #clients: ClientProcess[] = [];
  readonly #ended: History[] = [];
  #started = 0;
  #toldBefore = 0;

  static async start(stage: Stage): Promise<Players> {
    const players = new Players(stage);
    players.#clients.push(
      ...(await Promise.all(Array.from({ length: CLIENTS }, (_, place) => players.#start(place)))),
    );
    onTestFinished(async () => {
      await Promise.all(players.#clients.map((client) => client.kill()));
    });
    return players;
  }

  private constructor(stage: Stage) {
    this.#stage = stage;
  }

  get told(): number {
    return this.#clients.reduce((sum, client) => sum + client.told, this.#toldBefore);
  }

  anyone(): ClientProcess {
    return this.#clients[this.chance.between(0, CLIENTS - 1)] as ClientProcess;
  }

  async replaceOne(): Promise<void> {
    const at = this.chance.between(0, CLIENTS - 1);
    const client = this.#clients[at] as ClientProcess;
    this.#ended.push(await client.kill());
    this.#toldBefore += client.told;
    this.#clients[at] = await this.#start(at);
  }

  visited(hold: Hold): void {
    this.#ended.push({ ...emptyHistory(), holds: [hold] });
  }

  async drain(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.drain()));
  }

  async rest(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.rest()));
  }

  async stop(): Promise<History> {
    return merge([...this.#ended, ...(await Promise.all(this.#clients.map((client) => client.stop())))]);
  }

  #start(place: number): Promise<ClientProcess> {
    this.#started += 1;
    return ClientProcess.start({
      place,
      client: `p${this.#started}`,
      seed: SEED * 100 + this.#started,
      parties: CLIENTS,
      ttl: TTL,
      connectTimeout: 3_000,
      ...this.#stage.terms,
    });
  }
}

/** Lets some work be done before the next strike: also under a fault that lets none be done while it lasts. */
async function pause(players: Players, struck: number): Promise<void> {
  const begun = performance.now();
  const least = Math.max(BETWEEN.least, LONG ? struck : 0);
  const enough = LONG ? players.told + BETWEEN.operations : 0;
  for (;;) {
    await sleep(BETWEEN.least);
    const passed = performance.now() - begun;
    if ((passed >= least && players.told >= enough) || passed >= BETWEEN.most) return;
  }
}

async function play(fault: Fault): Promise<History> {
  const { stage, strike } = await fault.prepare();
  const players = await Players.start(stage);
  const keyspace = new Keyspace('heddle', stage.partitions);
  const lines = ['lock a', 'lock b'].map(
    (name) => [name, keyspace.of('lock', name, ['state', 'queue']) as [string, string]] as const,
  );
  const stopWatching = watchLines(stage.admin, new Map(lines));
  onTestFinished(() => void stopWatching());
  const begun = performance.now();
  const passed = () => performance.now() - begun;
  let struck = 0;
  while (passed() < LASTS || (players.told < ENOUGH && passed() < LONGEST * LASTS)) {
    await pause(players, struck);
    const before = passed();
    await strike(players);
    struck = passed() - before;
  }
  await players.drain();
  const seen = await stopWatching();
  await until(() => allTaken(stage), 'all that was put is taken, also what came back from lost sessions');
  const rings = Array.from({ length: stage.partitions }, (_, p) => keyspace.shared(p).ring);
  const sessions = async () => Math.max(...(await listed(stage.admin, rings)));
  await until(async () => (await sessions()) <= CLIENTS, 'those that were lost are swept');
  const unwoken = fault.lost === true ? [] : await lostWakeUps(stage);
  await players.rest();
  const standing = await leftByLiving(stage);
  const history = merge([await players.stop(), { ...emptyHistory(), lines: seen }]);
  history.surprises.push(
    ...standing,
    ...leftBehind(await entriesOf(stage.admin, await stage.keys()), fault.kept !== false),
  );
  // Who is lost between its change and its notification notifies nobody.
  if (fault.lost !== true && history.lost.length === 0) history.surprises.push(...unwoken);
  return history;
}

describe('whatever fault there is, what is promised holds', () => {
  it.each(FAULTS.map((fault) => [fault.name, fault] as const))(
    '%s',
    { timeout: LASTS * LONGEST + 120_000 },
    async (_, fault) => {
      const history = await play(fault);
      const { kept = true, durable = false, split = false, unheard = false } = fault;
      const lost = fault.lost === true || history.lost.length > 0;
      const wrong = wrongOf(history, { limitOf, parties: CLIENTS, kept, lost, durable, split, unheard });
      const { operations, holds, writes, lines } = history;
      const why = Object.entries(Object.groupBy(history.lost, (reason) => reason.replace(/^[^:]*: /, '')));
      console.log(
        `${fault.name}: ${operations.length} operations, ${holds.length} holds, ${writes.length} fenced writes, ${lines.length} looks at lines, ${history.lost.length} sessions lost, ${wrong.length} violations, seed ${SEED}`,
        ...why.map(([reason, all]) => `\n  ${all?.length} lost: ${reason}`),
      );
      expect(wrong.slice(0, 5)).toEqual([]);
      expect(operations.length + holds.length).toBeGreaterThan(Math.max(10, ENOUGH));
    },
  );
});
