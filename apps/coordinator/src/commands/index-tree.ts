/** `heddle index DIR`: hashes and counts a directory tree with a fleet of worker processes. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import process from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { removeQueue } from '@heddle/pool';
import { connect, type Member, type Session } from '@heddle/primitives/distributed';
import { addFlags, exitCode, exitCodeOfSignal, readSettings, watchSignals } from '@heddle/worker/command';
import { Command } from 'commander';
import { watchConnection } from '../connection-watch.ts';
import { Crew } from '../crew/crew.ts';
import { standingThreads } from '../crew/standing-fleet.ts';
import { findRedis } from '../find-redis.ts';
import { compareCounts } from '../indexer/compare.ts';
import { showPath } from '../indexer/entry.ts';
import { paceOf } from '../indexer/pace.ts';
import { type Progress, showProgress } from '../indexer/progress.ts';
import { type Recount, recount } from '../indexer/recount.ts';
import { type IndexResult, showResult, writeResult } from '../indexer/result.ts';
import { runId } from '../indexer/run-id.ts';
import { IndexRun, type RunOutcome } from '../indexer/run-index.ts';
import { idleTime, seatName } from '../indexer/seat-name.ts';
import { summarise, wasRead } from '../indexer/summary.ts';
import { tasksModule } from '../indexer/tasks-module.ts';
import { version } from '../version.ts';
import { printable } from '../views.ts';
import { within } from '../within.ts';
import { type IndexSettings, indexSettings } from './index-settings.ts';
import { cannotWrite, findPlaces, type Places } from './places.ts';

const epilogue = `
Hashes every file of DIR (default: .) and counts its words, in worker threads of at least one other process, and
writes word frequencies, duplicate files and sizes by type. What can't be read, is no file, or changes meanwhile is
counted and reported; links are not followed.

Exit codes: 0 done; 1 failed, or --verify found a difference; 2 wrong settings; 66 DIR or the place of --out can't be
used; 69 no Redis; 77 Redis refused; 130 after Ctrl-C (128 + signal).`;

/** How many lines of differences and of changed files are shown. */
const linesShown = 20;

/** The command `heddle index`. */
export function indexCommand(): Command {
  const command = new Command('index')
    .summary('index a directory tree with a fleet of worker processes')
    .description('Indexes a directory tree with a fleet of worker processes.')
    .argument('[DIR]', 'the tree', '.')
    .addHelpText('after', epilogue)
    .action(async (dir: string, flags: Record<string, unknown>) => {
      const settings = readSettings(indexSettings, { flags, env: process.env });
      const run = randomBytes(4).toString('hex');
      process.exitCode = await runId.run(run, () => indexTree(dir, settings, run));
    });
  return addFlags(command, indexSettings, { withFile: true });
}

async function indexTree(dir: string, settings: IndexSettings, run: string): Promise<number> {
  const places = findPlaces(dir, settings.out);
  using signals = watchSignals();
  try {
    return await indexAndShow(places, settings, run, signals.stop);
  } catch (error) {
    if (signals.received === undefined) throw error;
    process.stderr.write(`heddle: ended by ${signals.received}\n`);
    return exitCodeOfSignal(signals.received);
  }
}

async function indexAndShow(
  places: Places,
  settings: IndexSettings,
  run: string,
  stop: AbortSignal,
): Promise<number> {
  const started = new Date();
  const { outcome, replaced } = await runFleet(places, settings, run, stop);
  const result = resultOf(outcome, { run, places, started, replaced });
  process.stdout.write(`${showResult(result)}\n`);
  writeResultTo(places, result);
  const pids = new Set(outcome.work.map(({ pid }) => pid)).size;
  process.stdout.write(
    `Run ${run}: ${result.seconds} s, ${outcome.work.length} batches on ${pids} processes; written to ${settings.out}\n`,
  );
  return settings.verify ? verify(places, outcome, started, stop) : exitCode.ok;
}

function writeResultTo({ out }: Places, result: IndexResult): void {
  try {
    writeResult(out, result);
  } catch (error) {
    throw cannotWrite(out, error);
  }
}

async function runFleet(
  places: Places,
  settings: IndexSettings,
  run: string,
  stop: AbortSignal,
): Promise<{ readonly outcome: RunOutcome; readonly replaced: number }> {
  await using redis = await findRedis(settings.redis === undefined ? {} : { url: settings.redis });
  stop.throwIfAborted();
  using progress = showProgress(process.stderr, 'index');
  const { namespace, queue = settings.workers === 0 ? 'index' : `index-${run}` } = settings;
  const logger = { warn: progress.say, error: progress.say };
  await using session = await connect(redis.url, { namespace, name: `index ${run}`, logger });
  using connection = watchConnection(session, () => progress.say('Redis is out of reach; trying again'));
  stop.throwIfAborted();
  const threads =
    settings.workers > 0
      ? settings.workers * settings.threads
      : await standingThreads(session, queue, stop, () =>
          progress.say(`waiting for workers of the queue ${queue}`),
        );
  const crew = new Crew(
    crewOptions({ ...settings, queue, redis: redis.url }, progress, () => indexing.workerDied()),
  );
  const indexing = new IndexRun({
    ...{ session, redisUrl: redis.url, namespace, queue, run, progress, signal: stop },
    ...{ root: places.root, exclude: places.exclude, top: settings.top, keepAll: settings.verify },
    limits: { files: settings.batchFiles, bytes: settings.batchBytes },
    openFiles: settings.openFiles,
    threads,
    crewReady: crew.start(),
    failed: Promise.race([crew.failed, connection.gaveUp]),
  });
  try {
    return { outcome: await indexing.run(), replaced: crew.replaced };
  } finally {
    // But not for ever: a thread may be at something that it does not leave, or Redis be gone.
    await within(stop.aborted ? 1_000 : 10_000, threadsLeft(session, new Set(crew.pids)));
    await crew.end();
    await indexing.clear();
    // A queue of the run's own has nobody left who would want it.
    if (settings.workers > 0 && settings.queue === undefined) {
      await within(10_000, removeQueue(session, queue));
    }
  }
}

/** Until the crew's threads have closed their sessions, so that they leave nothing in Redis. */
async function threadsLeft(session: Session, pids: ReadonlySet<number>): Promise<void> {
  const isOurs = ({ host, pid, name }: Member) => host === hostname() && pids.has(pid) && name === seatName;
  while ((await session.members()).some(isOurs)) await delay(idleTime / 5);
  // Who says goodbye is no member any more, and sweeps up right after it.
  await delay(idleTime);
}

type CrewSettings = IndexSettings & { readonly queue: string; readonly redis: string };

function crewOptions(settings: CrewSettings, progress: Progress, onDeath: () => Promise<void>) {
  const { workers, threads, queue, namespace, gracePeriod, logLevel, logFormat, redis } = settings;
  const format = logFormat === 'auto' && process.stderr.isTTY ? 'pretty' : logFormat;
  const flags = {
    ...{ queue, threads, namespace },
    tasks: tasksModule(),
    'grace-period': gracePeriod,
    'log-level': logLevel,
    'log-format': format,
    // Jobs of a killed worker are soon done by another, however many are killed.
    'stall-timeout': 3_000,
    'max-stalls': 1_000,
  };
  return {
    workers,
    // The run's id stands in each line of their logs, also in those that belong to no job.
    name: `index-${runId.get()}`,
    flags: Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, String(value)]),
    // Not among the flags: the URL may hold a password, and everybody sees the flags of every process.
    env: { HEDDLE_REDIS: redis },
    gracePeriod,
    onLine: (line: string) => progress.say(line),
    onReplaced: (pid: number, how: string) => {
      progress.say(`run ${runId.get()}: worker ${pid} ended with ${how}; another takes its place`);
      void onDeath();
    },
  };
}

interface RunFacts {
  readonly run: string;
  readonly places: Places;
  readonly started: Date;
  readonly replaced: number;
}

function resultOf(outcome: RunOutcome, { run, places, started, replaced }: RunFacts): IndexResult {
  const { entries, work, shared, token, rounds } = outcome;
  return {
    run,
    version,
    root: showPath(places.root),
    started: started.toISOString(),
    seconds: Math.round((Date.now() - started.getTime()) / 10) / 100,
    ...summarise(entries),
    words: {
      total: shared.total,
      distinct: shared.distinct,
      overlong: entries.reduce((sum, { overlong }) => sum + overlong, 0),
      top: shared.top,
    },
    hosts: paceOf(work),
    effort: { batches: work.length, replaced, rounds, token },
  };
}

async function verify(
  places: Places,
  outcome: RunOutcome,
  started: Date,
  stop: AbortSignal,
): Promise<number> {
  const { root } = places;
  const begun = performance.now();
  const again = await recountShown(places, outcome.entries.filter(wasRead).length, stop);
  const fleet = { entries: outcome.entries, words: outcome.words ?? new Map() };
  // The file system's clock may lag behind ours by a tick.
  const found = compareCounts(root, fleet, again, started.getTime() - 1_000);
  tellSome('changed meanwhile, not compared', found.changed);
  tellSome('different', found.differences);
  const seconds = ((performance.now() - begun) / 1000).toFixed(2);
  const verdict = found.differences.length === 0 ? 'all equal' : `${found.differences.length} differ`;
  process.stdout.write(`Verified: ${found.compared} numbers compared in ${seconds} s, ${verdict}\n`);
  return found.differences.length === 0 ? exitCode.ok : exitCode.failed;
}

async function recountShown({ root, exclude }: Places, files: number, signal: AbortSignal): Promise<Recount> {
  using progress = showProgress(process.stderr, 'verify');
  progress.found(files);
  progress.complete();
  return recount(root, { exclude, signal, onFile: (size) => progress.done(1, size) });
}

function tellSome(what: string, lines: readonly string[]): void {
  for (const line of lines.slice(0, linesShown)) process.stdout.write(`${what}: ${printable(line)}\n`);
  if (lines.length > linesShown) process.stdout.write(`${what}: and ${lines.length - linesShown} more\n`);
}
