/** What runs in the worker of a `Thread`. */
import { workerData } from 'node:worker_threads';
import { InvalidStateError } from '../errors.ts';
import { adoptThread } from '../identity.ts';
import { adoptRoster, Seat } from '../shared-memory/roster.ts';
import { nativeThreadId } from '../shared-memory/thread-life.ts';
import { stayForSignals } from '../sharing/abort-signals.ts';
import { attachTravelling, shareTravelling } from '../sharing/share.ts';
import { fromPortable, toPortable } from '../values/portable.ts';
import { Thread, type ThreadBoot, type ThreadOutcome } from './thread.local.ts';
import { type AnyFunction, exportOf, functionOfProgram, type ThreadTarget } from './thread-target.ts';
import { becomeThread, startedHaveExited } from './threads.ts';

const boot = workerData as ThreadBoot;
adoptRoster(boot.roster);
const seat = new Seat(...boot.seat);
seat.nativeId = nativeThreadId();
adoptThread(boot.name);
stayForSignals();
process.once('exit', () => seat.end());

/** The function to call; `currentThread` is told what it runs in. */
async function runnable(target: ThreadTarget): Promise<AnyFunction> {
  if (target.kind !== 'object') {
    becomeThread(seat, boot.name, Thread);
    return target.kind === 'source' ? functionOfProgram() : await exportOf(target.url, target.export);
  }
  const ofClass = (await exportOf(target.url, target.export)) as unknown as typeof Thread;
  const fields = fromPortable(target.fields, { attach: attachTravelling });
  const thread = Object.assign(becomeThread(seat, boot.name, ofClass), fields);
  return (...args) => thread.run(...args);
}

async function outcome(): Promise<ThreadOutcome> {
  const primitive = { label: boot.name };
  try {
    const run = await runnable(boot.target);
    const args = fromPortable(boot.args, { attach: attachTravelling }) as never[];
    return { value: toPortable(await run(...args), 'result', { share: shareTravelling, primitive }) };
  } catch (error) {
    return { error: toPortable(error, 'error', { share: shareTravelling, lenient: true }) };
  }
}

/** The outcome first, the seat second: who joins finds the result there. */
function tell(told: ThreadOutcome): void {
  boot.port.postMessage({ ...told, nativeId: seat.nativeId });
  seat.end();
}

function tellStuck(): void {
  const error = new InvalidStateError(
    `${boot.name} waits for a promise that nothing is left to settle; something it needs does not keep it alive`,
    { primitive: boot.name },
  );
  tell({ error: toPortable(error, 'error') });
  process.exit(1);
}

/**
 * Lets what the function has set off come out: a warning is emitted on the next tick, a rejection that nobody handles is
 * seen after all microtasks, and who joins finds either told.
 */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function live(): Promise<void> {
  process.once('beforeExit', tellStuck);
  const told = await outcome();
  await turn();
  process.off('beforeExit', tellStuck);
  tell(told);
  // The worker goes on until those it has started have ended, which it would take along.
  await startedHaveExited();
  process.exit(0);
}

void live();
