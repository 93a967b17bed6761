import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { now } from '../deadline.ts';
import { LeaseWords } from '../shared-memory/lease-words.ts';
import { OnceWord } from '../shared-memory/once-word.ts';
import { until } from '../testing/waiting.ts';
import { LOSSES } from './losses.ts';
import { Script } from './lua.ts';
import { Pulse, type PulseConfig } from './pulse.ts';

/** Seconds that the host was suspended for, as far as its clocks tell. */
let suspended = 0;
vi.mock('node:os', async (original) => {
  const os = await original<typeof import('node:os')>();
  return { ...os, uptime: () => os.uptime() + suspended };
});

const config: PulseConfig = {
  id: `${'0'.repeat(24)}-1`,
  namespace: 'unit',
  partitions: 1,
  partition: 0,
  sharded: false,
  ttl: 60_000,
  keep: 86_400_000,
  margin: 105,
  maxStall: undefined,
  history: '',
  scripts: { operations: { all: 'operations', families: {} }, renewal: 'renewal' },
  kinds: {},
  durability: undefined,
  runId: 'run',
  epoch: 'epoch',
};

/** A pulse over a Redis that answers each sign of life with `answer`. */
function beating(
  answer: (sha: string) => Promise<unknown>,
  remaining: number,
  { ttl }: { ttl: number } = config,
) {
  const words = new LeaseWords();
  words.extendTo(now() + remaining);
  const lost: string[] = [];
  const client = { status: 'ready', evalsha: answer, eval: answer };
  const events = { lost: (reason: string) => lost.push(reason), warn: () => {} };
  const pulse = new Pulse(client, { ...config, ttl }, words, events);
  onTestFinished(() => pulse.stop());
  void pulse.start();
  return { words, lost, pulse };
}

const alive = (): unknown => ['alive', String(Math.round(now() * 1000)), 'run', 'epoch', '', '', []];

describe('a sign of life', () => {
  it('moves the deadline by the ttl, counted from before it was sent, less the margin', async () => {
    let sent = 0;
    const { words, lost } = beating(async () => {
      sent = now();
      await sleep(60); // On its way there and back.
      return alive();
    }, 1000);
    await until(() => words.deadline > sent + 50_000, 'the deadline has moved');
    expect(words.deadline).toBeLessThanOrEqual(sent + config.ttl - config.margin);
    expect(lost).toEqual([]);
  });

  it('that is answered after the deadline revives nothing: somebody may have seen it void', async () => {
    const answered = Promise.withResolvers<void>();
    const { words, lost } = beating(async () => {
      await sleep(60);
      answered.resolve();
      return alive();
    }, 20);
    await answered.promise;
    await until(() => lost.length > 0, 'the loss is told');
    expect(lost).toEqual([LOSSES[0]]);
    expect(words.reason).toBe(0);
  });

  it.each([
    ['gone', ['gone', '0'], LOSSES[1]],
    ['of another epoch', ['alive', '0', 'run', 'other', '', '', []], LOSSES[2]],
    ['of another run', ['alive', '0', 'other', 'epoch', '', '', []], LOSSES[3]],
    ['garbage', 'garbage', LOSSES[1]],
  ])('that is answered with %s ends the session, and says why', async (_, reply, reason) => {
    const { words, lost } = beating(async () => reply, 1000);
    await until(() => lost.length > 0, 'the loss is told');
    expect(lost).toEqual([reason]);
    expect(words.deadline).toBeLessThan(0);
  });
});

describe('a host that was suspended', () => {
  it('has lost its sessions: others may have been granted meanwhile what they held', async () => {
    onTestFinished(() => {
      suspended = 0;
    });
    let beats = 0;
    const { words, lost } = beating(
      async () => {
        beats += 1;
        return alive();
      },
      50_000,
      { ttl: 60 },
    );
    await until(() => beats > 3, 'it lives');
    expect(lost).toEqual([]);
    suspended = 2;
    await until(() => lost.length > 0, 'the loss is told');
    expect(lost).toEqual(['the host was suspended']);
    expect(words.deadline).toBeLessThan(0);
  });
});

describe('what the keeper is to run at a moment', () => {
  const invocation = { operation: 'lock.expire', keys: [], args: [] };

  /** A pulse whose first beat is over, with what it sends from then on. */
  async function resting(answers: string[] = []) {
    let sent = 0;
    const { pulse } = beating(async () => {
      sent += 1;
      return sent === 1 ? alive() : ['ok', [answers[sent - 2] ?? 'done']];
    }, 50_000);
    await until(() => sent === 1, 'the first beat');
    return { pulse, sent: () => sent - 1 };
  }

  it('is not run before, however early its timer comes', async () => {
    const { pulse, sent } = await resting();
    vi.useFakeTimers({ toFake: ['setTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    pulse.runAt(1, now() + 5_000, invocation, new OnceWord());
    await vi.advanceTimersByTimeAsync(5_100);
    expect(sent()).toBe(0);
  });

  it('is run once, and not where its session has seen to it', async () => {
    const { pulse, sent } = await resting();
    const [taken, free] = [new OnceWord(), new OnceWord()];
    taken.take();
    pulse.runAt(1, now(), invocation, taken);
    pulse.runAt(2, now(), invocation, free);
    await until(() => sent() > 0, 'the second is run');
    expect(free.take()).toBe(false);
    expect(sent()).toBe(1);
  });

  it('is run until nothing is left to do', async () => {
    const { pulse, sent } = await resting(['more', 'more']);
    pulse.runAt(1, now(), invocation, new OnceWord());
    await until(() => sent() === 3, 'all three steps');
  });
});

describe('the watch over others', () => {
  const other = `${'1'.repeat(24)}-1`;
  const renewal = new Script('renewal').sha;

  /** A pulse whose signs of life, and whose sweeps, are answered when a test says so. */
  function watching() {
    const beats: PromiseWithResolvers<unknown>[] = [];
    const sweeps: PromiseWithResolvers<unknown>[] = [];
    const { pulse } = beating(async (sha) => {
      const asked = Promise.withResolvers<unknown>();
      (sha === renewal ? beats : sweeps).push(asked);
      return asked.promise;
    }, 50_000);
    return { pulse, beats, sweeps };
  }
  const naming = (...those: string[]) => [
    'alive',
    String(Math.round(now() * 1000)),
    'run',
    'epoch',
    '',
    '',
    those,
  ];
  const turn = () => sleep(5);

  it('keeps one that it was told of while a sign of life was on its way, whomever the answer names', async () => {
    const { pulse, beats, sweeps } = watching();
    pulse.watch(other, 0);
    beats[0]?.resolve(naming(`${'2'.repeat(24)}-1`, '60000'));
    await until(() => sweeps.length > 0, 'it is swept');
  });

  it('gives up one that a later sign of life does not name', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const { beats, sweeps } = watching();
    beats[0]?.resolve(naming(other, '30000'));
    await vi.advanceTimersByTimeAsync(20_000);
    beats[1]?.resolve(naming());
    await vi.advanceTimersByTimeAsync(15_000);
    expect([beats.length, sweeps.length]).toEqual([2, 0]);
  });

  it('keeps one for as long as it was told to, whomever ticks name, and as long as that one lives', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'hrtime'] });
    onTestFinished(() => void vi.useRealTimers());
    const { pulse, beats, sweeps } = watching();
    beats[0]?.resolve(naming());
    await vi.advanceTimersByTimeAsync(0);
    pulse.watch(other, 15_000, 50_000);
    await vi.advanceTimersByTimeAsync(20_000);
    expect([beats.length, sweeps.length]).toEqual([2, 1]);
    sweeps[0]?.resolve(['ok', ['alive', '29000']]);
    beats[1]?.resolve(naming());
    await vi.advanceTimersByTimeAsync(20_000);
    beats[2]?.resolve(naming());
    await vi.advanceTimersByTimeAsync(15_000);
    expect([beats.length, sweeps.length]).toEqual([3, 2]);
    sweeps[1]?.resolve(['ok', ['alive', '30000']]);
    await vi.advanceTimersByTimeAsync(10_000);
    beats[3]?.resolve(naming());
    await vi.advanceTimersByTimeAsync(30_000);
    expect(sweeps).toHaveLength(2);
  });

  it('sweeps nobody twice at a time, and looks at once who follows one that is swept', async () => {
    const { beats, sweeps, pulse } = watching();
    beats[0]?.resolve(naming(other, '0'));
    await until(() => sweeps.length === 1, 'it is swept');
    pulse.start();
    beats[1]?.resolve(naming(other, '0'));
    pulse.watch(other, 0);
    await turn();
    expect([sweeps.length, beats.length]).toEqual([1, 2]);
    sweeps[0]?.resolve(['ok', ['swept']]);
    await until(() => beats.length === 3, 'it looks');
  });

  it('leaves one that can not be swept to the next sign of life', async () => {
    const { beats, sweeps } = watching();
    beats[0]?.resolve(naming(other, '0'));
    await until(() => sweeps.length === 1, 'it is tried');
    sweeps[0]?.resolve(['ok', ['left', 'strange\n\nname']]);
    await turn();
    expect([sweeps.length, beats.length]).toEqual([1, 1]);
  });
});
