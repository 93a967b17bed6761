/** Contention between processes: a waiter a session, cohorts of a session's tasks, a semaphore, and the hand-over. */
import { withProcesses } from './processes.ts';
import { printRace, races, racesOf } from './race.ts';
import { printTable } from './statistics.ts';
import { MESSAGE, TOKEN } from './ways-bare.ts';
import { HEDDLE } from './ways-heddle.ts';
import { peerWays } from './ways-peers.ts';

const ROUNDS = 3;
const MS = 500;
const all = [TOKEN, HEDDLE, ...peerWays.map(({ name }) => name)];

export async function contended(url: string): Promise<void> {
  for (const contenders of [2, 32, 128]) {
    const count = Math.min(4, contenders);
    await withProcesses(count, async (processes) => {
      const terms = { parties: contenders / count, tasks: 1, ms: MS };
      printRace(
        `One lock, ${contenders} contenders in ${count} processes, each a session of its own`,
        await races(url, all, processes, terms, ROUNDS),
        'switches',
      );
    });
  }
}

export async function cohorts(url: string): Promise<void> {
  await withProcesses(4, async (processes) => {
    const terms = { parties: 1, tasks: 8, ms: MS };
    // One connection cannot wait for a token more than once at a time.
    const results = await races(
      url,
      all.filter((way) => way !== TOKEN),
      processes,
      terms,
      ROUNDS,
    );
    printRace('One lock, 4 processes of 8 tasks, a session a process', results, 'acquires');
  });
}

/** 32 contenders in each of 4 processes: with a session or connection each, and as programs are made, with one a process. */
export async function semaphore(url: string): Promise<void> {
  await withProcesses(4, async (processes) => {
    const each = { permits: 4, parties: 32, tasks: 1, ms: MS };
    const shared = { ...each, parties: 1, tasks: 32 };
    const both = (way: string, what: string) => [
      { label: `${way}, a ${what} each`, way, terms: each },
      { label: `${way}, a ${what} a process`, way, terms: shared },
    ];
    // One connection cannot wait for a token more than once at a time.
    const entries = [
      { label: TOKEN, way: TOKEN, terms: each },
      ...both(HEDDLE, 'session'),
      ...both('redis-semaphore', 'connection'),
    ];
    const results = await racesOf(url, entries, processes, ROUNDS);
    printRace('A semaphore of 4, 128 contenders in 4 processes', results, 'acquires');
  });
}

/** Two processes that hold for 2 ms in turn: the next is waiting by the time of each release. */
export async function handOver(url: string): Promise<void> {
  await withProcesses(2, async (processes) => {
    const terms = { parties: 1, tasks: 1, ms: MS, hold: 2 };
    const results = await races(url, [MESSAGE, ...all], processes, terms, ROUNDS);
    const bare = results.get(MESSAGE)?.handOver ?? Number.NaN;
    printTable(
      'From release in one process to grant in another',
      ['', 'µs', '× bare'],
      [...results].map(([way, { handOver: ms }]) => [way, (ms * 1000).toFixed(0), (ms / bare).toFixed(2)]),
    );
  });
}
