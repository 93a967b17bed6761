/** The tasks of the index: what worker threads do, in whatever process and host. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import process from 'node:process';
import { currentJob } from '@heddle/pool/task';
import { splitPaths } from './batch.ts';
import { type BatchColumns, toColumns } from './batch-result.ts';
import type { Entry } from './entry.ts';
import { mappedName, openFilesName, resultName, startName } from './names.ts';
import type { BatchWork } from './pace.ts';
import { FileReader } from './read-file.ts';
import type { SharedResult } from './run-store.ts';
import { useSeat } from './seat.ts';
import { topWords, type WordCount } from './top-words.ts';
import { packWords, unpackInto } from './word-codec.ts';
import { WordTable } from './word-table.ts';

export interface CountArgs {
  readonly run: string;
  /** The batch's number. */
  readonly batch: number;
  readonly root: Uint8Array;
  /** Paths below the root, a NUL between them. */
  readonly paths: Uint8Array;
  readonly partitions: number;
  /** How many files the whole fleet may have open. */
  readonly openFiles: number;
}

export interface CountResult extends BatchWork {
  readonly batch: number;
  /** Under which this attempt kept its words. */
  readonly slot: string;
  readonly columns: BatchColumns;
}

export interface MergeArgs {
  readonly run: string;
  readonly round: number;
  readonly partition: number;
  /** How many meet at the round's barrier: its reducers and the coordinator. */
  readonly parties: number;
  /** How many of the most frequent words the result lists. */
  readonly top: number;
  /** Whether every word is kept, and not only the most frequent. */
  readonly keepAll: boolean;
}

/** Ms at the barrier after which a reducer gives up its place; the coordinator then begins a new round. */
const longestMeeting = 60_000;

// One of each for a thread: they are large, and a thread runs one of these tasks at a time but for awaits,
// over which `counting` keeps the others out.
const reader = new FileReader();
const table = new WordTable();
let counting: Promise<unknown> = Promise.resolve();

/** Map: hashes a batch's files and counts their words, which it keeps in Redis under a new slot. */
export function countBatch(args: CountArgs): Promise<CountResult> {
  const { signal } = currentJob();
  const mine = counting.then(() => count(args, signal));
  counting = mine.catch(() => undefined);
  return mine;
}

async function count(args: CountArgs, signal: AbortSignal): Promise<CountResult> {
  await using seat = await useSeat(args.run);
  await seat.once(startName(args.run), (name) => seat.session.event(name).wait({ signal }));
  const started = performance.now();
  const paths = splitPaths(args.paths);
  const entries: Entry[] = [];
  table.clear();
  {
    // One file at a time is open here, so that one permit does for the batch: two commands, not two for each file.
    await using _permit = await seat.session
      .semaphore(openFilesName(args.run), args.openFiles)
      .acquire({ signal });
    for (const path of paths) {
      entries.push(await reader.read(Buffer.from(args.root), path, table, signal));
      await reader.breathe(signal);
    }
  }
  const slot = `${args.batch}:${randomUUID()}`;
  await seat.store.putWords(slot, packWords(table, args.partitions));
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  const busy = performance.now() - started;
  currentJob().log(`batch ${args.batch}: ${paths.length} files, ${bytes} bytes in ${Math.round(busy)} ms`);
  const { thread } = currentJob();
  const work = { host: hostname(), pid: process.pid, thread, files: paths.length, bytes, busy };
  return { ...work, batch: args.batch, slot, columns: toColumns(entries) };
}

/**
 * Reduce: meets the others at the barrier, adds up one partition of the words of all batches, and puts it into the
 * shared result. A second attempt has no place at a barrier that its first one has passed or broken: it fails, and the
 * coordinator begins a new round.
 */
export async function mergeWords(args: MergeArgs): Promise<void> {
  const { attempt, signal } = currentJob();
  if (attempt > 1) throw new Error(`partition ${args.partition} lost its place in round ${args.round}`);
  await using seat = await useSeat(args.run);
  await seat.session
    .barrier(mappedName(args.run, args.round), args.parties)
    .wait({ signal, timeout: longestMeeting });
  const merged = new WordTable();
  for await (const packed of seat.store.words(args.partition, await seat.store.slots())) {
    unpackInto(merged, packed);
    signal.throwIfAborted();
  }
  if (args.keepAll) {
    for (const packed of packWords(merged, 1)) await seat.store.putMerged(args.partition, packed);
  }
  const mine = summarise(merged, args);
  await seat.session.lock(resultName(args.run)).with(
    async (lease) => {
      const { value } = await seat.store.result();
      // Twice the same partition is once: the attempt before may have ended right after it wrote.
      if (value.partitions.includes(args.partition)) return;
      if (await seat.store.putResult(join(value, mine, args.top), lease.token)) return;
      throw new Error(`partition ${args.partition}: the lock went to another before the result was written`);
    },
    { signal },
  );
  currentJob().log(`partition ${args.partition}: ${mine.distinct} distinct words`);
}

function summarise(merged: WordTable, { partition, top }: MergeArgs): SharedResult {
  const words: WordCount[] = [];
  let total = 0;
  merged.forEach((bytes, n) => {
    words.push([bytes.toString(), n]);
    total += n;
  });
  return { partitions: [partition], total, distinct: merged.size, top: topWords(words, top) };
}

function join(a: SharedResult, b: SharedResult, top: number): SharedResult {
  return {
    partitions: [...a.partitions, ...b.partitions],
    total: a.total + b.total,
    distinct: a.distinct + b.distinct,
    top: topWords([...a.top, ...b.top], top),
  };
}
