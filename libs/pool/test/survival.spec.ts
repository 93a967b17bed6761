/**
 * Jobs of every kind on three hosts, while hosts, submitters and Redis die, stop and come back. `HEDDLE_SURVIVE_JOBS` says how
 * many jobs (300; `npm run test:survive` runs 20,000), `HEDDLE_SURVIVE_SEED` what the chance is.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RedisProcess, startRedis } from '@heddle/embedded-redis';
import { removeQueue } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { Host, type Ledger, Submitter, type Terms } from './survival/crew.ts';
import { chance, expected, KINDS, type Kind, plan } from './survival/plan.ts';
import { until } from './until.ts';

const JOBS = Number(process.env.HEDDLE_SURVIVE_JOBS ?? 300);
const SEED = Number(process.env.HEDDLE_SURVIVE_SEED ?? 1);
/** Jobs that are submitted between one fault and the next, unless there would be fewer faults than there are kinds. */
const PHASE = 250;
const HOSTS = 3;
const SUBMITTERS = 2;
/** Longer than the hosts' stall interval. */
const STOPPED = 1500;

class Scene implements Ledger {
  readonly terms: Terms;
  readonly redis: RedisProcess;
  readonly hosts: Host[] = [];
  readonly submitters: Submitter[] = [];
  /** By number: the ids under which it was accepted, and the outcomes of which submitters told. */
  readonly ids = new Map<number, Set<string>>();
  readonly outcomes = new Map<number, string[]>();
  /** Each Future's end, by submitter's life and id: more than one is wrong. */
  readonly ends = new Map<string, number>();

  constructor(redis: RedisProcess, terms: Terms) {
    this.redis = redis;
    this.terms = terms;
  }

  async start(): Promise<void> {
    for (let n = 0; n < HOSTS; n += 1) this.hosts.push(new Host(this.terms));
    for (let n = 0; n < SUBMITTERS; n += 1) this.submitters.push(this.submitter());
    await Promise.all([...this.hosts, ...this.submitters].map(({ ready }) => ready));
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.hosts, ...this.submitters].map((member) => member.kill()));
  }

  accepted(n: number, id: string): void {
    this.ids.set(n, (this.ids.get(n) ?? new Set()).add(id));
  }

  ended(n: number, _id: string, outcome: string): void {
    this.outcomes.set(n, [...(this.outcomes.get(n) ?? []), outcome]);
  }

  submitter(): Submitter {
    const life = this.submitters.length + this.ends.size;
    const made: Submitter = new Submitter(this.terms, {
      accepted: (n, id) => this.accepted(n, id),
      ended: (n, id, outcome) => {
        const end = `${made.child.pid} ${life} ${id}`;
        this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
        this.ended(n, id, outcome);
      },
    });
    return made;
  }

  async replaceHost(at: number): Promise<void> {
    this.hosts[at] = new Host(this.terms);
    await this.hosts[at].ready;
  }

  async replaceSubmitter(at: number): Promise<void> {
    const old = this.submitters[at] as Submitter;
    await old.kill();
    const heir = this.submitter();
    this.submitters[at] = heir;
    await heir.ready;
    heir.inherit(old);
  }
}

type Fault = (scene: Scene, pick: (of: number) => number) => Promise<unknown>;

const FAULTS: Readonly<Record<string, Fault>> = {
  'a host is killed': async (scene, pick) => {
    const at = pick(HOSTS);
    await scene.hosts[at]?.kill();
    await scene.replaceHost(at);
  },
  'a host is stopped for longer than the stall interval': async (scene, pick) => {
    const { child } = scene.hosts[pick(HOSTS)] as Host;
    child.kill('SIGSTOP');
    await sleep(STOPPED);
    child.kill('SIGCONT');
  },
  'a submitter is killed': (scene, pick) => scene.replaceSubmitter(pick(SUBMITTERS)),
  'Redis is restarted with its data': ({ redis }) => redis.restart({ data: 'keep' }),
  'a host is told to end': async (scene, pick) => {
    const at = pick(HOSTS);
    const { child, ended } = scene.hosts[at] as Host;
    child.kill('SIGTERM');
    await scene.replaceHost(at);
    expect(await ended).toEqual([0, null]);
  },
};

/** Lets them all work, and strikes one fault after the other meanwhile, each kind once at the least. */
async function play(scene: Scene): Promise<Map<string, number>> {
  const next = chance(SEED);
  const pick = (of: number) => Math.floor(next() * of);
  const jobs = plan(JOBS, next);
  const names = Object.keys(FAULTS);
  const phases = Math.max(names.length, Math.floor(JOBS / PHASE));
  const struck = new Map<string, number>();
  for (let phase = 0, sent = 0; phase < phases; phase += 1) {
    const batch = jobs.slice(sent, Math.ceil(((phase + 1) * JOBS) / phases));
    sent += batch.length;
    const share = Math.ceil(batch.length / SUBMITTERS);
    for (const [n, submitter] of scene.submitters.entries())
      submitter.submit(batch.slice(n * share, (n + 1) * share));
    const half = sent - Math.floor(batch.length / 2);
    await until(() => expect(scene.outcomes.size).toBeGreaterThanOrEqual(half), 20, 60_000);
    const name = names[phase] ?? (names[pick(names.length)] as string);
    struck.set(name, (struck.get(name) ?? 0) + 1);
    await FAULTS[name]?.(scene, pick);
  }
  await until(() => expect(missing(scene, jobs.length)).toEqual([]), 50, 120_000);
  return struck;
}

function missing(scene: Scene, jobs: number): number[] {
  return Array.from({ length: jobs }, (_, n) => n)
    .filter((n) => !scene.outcomes.has(n))
    .slice(0, 20);
}

/** What each job under an accepted id came to, by its own word in Redis: done, and one way only. */
async function wrongInRedis(scene: Scene, admin: Redis): Promise<string[]> {
  const prefix = `{${scene.terms.namespace}:queue:survival}:survival:`;
  const wrong: string[] = [];
  for (const [n, ids] of scene.ids) {
    for (const id of ids) {
      const [finished, value, reason] = await admin.hmget(
        `${prefix}${id}`,
        'finishedOn',
        'returnvalue',
        'failedReason',
      );
      const [good, bad] = await Promise.all([
        admin.zscore(`${prefix}completed`, id),
        admin.zscore(`${prefix}failed`, id),
      ]);
      const once = (good === null) !== (bad === null) && (good === null) !== (typeof value === 'string');
      if (typeof finished !== 'string' || !once || (bad !== null && typeof reason !== 'string'))
        wrong.push(`job ${n}, ${id}: finished ${finished}, completed ${good}, failed ${bad}, ${reason}`);
    }
  }
  return wrong;
}

it(`${JOBS} jobs outlive their hosts, their submitters and Redis`, {
  timeout: 60_000 + JOBS * 60,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-survival-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const runs = join(folder, 'runs');
  writeFileSync(runs, '');
  const redis = (await startRedis({ sources: ['process'], persist: true })) as RedisProcess;
  onTestFinished(() => redis.close());
  const admin = new Redis(redis.url);
  admin.on('error', () => {});
  onTestFinished(() => admin.disconnect());
  const namespace = `survival-${process.pid}`;
  const scene = new Scene(redis, { url: redis.url, namespace, runs });
  onTestFinished(() => scene.killAll());
  await scene.start();
  const begun = performance.now();
  const struck = await play(scene);
  const seconds = (performance.now() - begun) / 1000;

  const jobs = plan(JOBS, chance(SEED));
  const wrong = jobs.flatMap((job) =>
    (scene.outcomes.get(job[0]) ?? ['none'])
      .filter((outcome) => outcome !== expected(job))
      .map((outcome) => `job ${job[0]}, ${job[1]}: ${outcome}`),
  );
  expect(wrong).toEqual([]);
  expect([...scene.ends].filter(([, times]) => times > 1)).toEqual([]);
  expect(await wrongInRedis(scene, admin)).toEqual([]);
  const times = new Map<number, number>();
  for (const line of readFileSync(runs, 'utf8').split('\n').filter(Boolean))
    times.set(Number(line), (times.get(Number(line)) ?? 0) + 1);
  expect(jobs.filter(([n]) => !times.has(n))).toEqual([]);

  for (const submitter of scene.submitters) submitter.finish();
  for (const { child } of scene.hosts) child.kill('SIGTERM');
  const codes = () => [...scene.hosts, ...scene.submitters].map(({ child }) => child.exitCode);
  await until(() => expect(codes()).toEqual(codes().map(() => 0)), 50);
  await nothingLeft(admin, scene);
  tell(
    jobs.map(([, kind]) => kind),
    struck,
    times,
    seconds,
  );
});

/**
 * No connection but the spec's own, nothing of a session, nothing that is yet to be run. Once the queue is removed, what
 * is left ends by itself: the last token of each lock in a minute, the fleet's lists in a day.
 */
async function nothingLeft(admin: Redis, { terms }: Scene): Promise<void> {
  await until(async () => {
    const clients = String(await admin.client('LIST'))
      .trim()
      .split('\n');
    expect(clients).toHaveLength(1);
  });
  const key = (name: string) => `{${terms.namespace}:queue:survival}:survival:${name}`;
  for (const list of ['wait', 'active']) expect(await admin.llen(key(list))).toBe(0);
  for (const set of ['delayed', 'prioritized']) expect(await admin.zcard(key(set))).toBe(0);
  expect((await admin.keys('*')).filter((name) => /\d:lock$/.test(name))).toEqual([]);
  const session = await connect(terms.url, { namespace: terms.namespace });
  await removeQueue(session, 'survival');
  await session.close();
  const ending = (name: string) => (/:lock:lock \d:state$/.test(name) ? 60_000 : 86_400_000);
  const known = /:fleet}:(hosts|queues)$|:lock:lock \d:state$|:0}:epoch$/;
  // What the last host that was killed has said of itself ends some seconds after that.
  await until(async () => {
    const left = await Promise.all(
      (await admin.keys('*')).map(async (name) => ({ name, ttl: await admin.pttl(name) })),
    );
    expect(left.filter(({ name, ttl }) => !known.test(name) || ttl < 0 || ttl > ending(name))).toEqual([]);
  });
}

function tell(
  kinds: readonly Kind[],
  struck: ReadonlyMap<string, number>,
  times: ReadonlyMap<number, number>,
  seconds: number,
): void {
  const count = (kind: string) => kinds.filter((each) => each === kind).length;
  const runs = [...times.values()];
  console.log(
    [
      `${kinds.length} jobs in ${seconds.toFixed(0)} s, seed ${SEED}`,
      `jobs: ${Object.keys(KINDS)
        .map((kind) => `${count(kind)} ${kind}`)
        .join(', ')}`,
      `faults: ${[...struck].map(([name, n]) => `${n} × ${name}`).join(', ')}`,
      `runs: ${runs.reduce((a, b) => a + b, 0)}, ${runs.filter((n) => n > 1).length} jobs more than once`,
    ].join('\n'),
  );
}
