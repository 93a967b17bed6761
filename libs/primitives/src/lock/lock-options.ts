/** What a local lock can be made with. */
import { debugByDefault } from '../debug/mode.ts';
import { SITE_WORDS, writeSite } from '../debug/site.ts';
import { show, typeError } from '../errors.ts';
import { checkKnown } from '../options.ts';
import { DEBUG, type Kind, Memory, ROBUST } from '../shared-memory/memory.ts';

/** What `new Lock` and `new RLock` take. */
export interface LockOptions {
  /**
   * Passes on from a holder whose thread ended while it held: the next to acquire gets a lease with `abandoned` set
   * (`acquireSync` throws `AbandonedError`, holding the lock). Otherwise such a lock stays locked, as in Python.
   */
  readonly robust?: boolean | undefined;
  /**
   * Tracks who holds it and who waits for it, and where in the code, in all threads: a circle of waiters is a
   * `DeadlockError` in the one that closes it, and warnings tell of locks taken in two orders and of holds that outlive
   * their thread. Costs tens of microseconds an acquisition. As `HEDDLE_DEBUG=1` says unless given.
   */
  readonly debug?: boolean | undefined;
}

/** New memory for a local lock, with options checked; `words` is what its kind needs. */
export function makeLockMemory(kind: Kind, words: number, options: LockOptions | undefined): Memory {
  const { robust = false, debug = debugByDefault } = checkKnown(options, ['robust', 'debug'], `new ${kind}`);
  for (const [name, value] of Object.entries({ robust, debug })) {
    if (typeof value !== 'boolean') {
      throw typeError(`new ${kind}: ${name} must be true or false, not ${show(value)}`);
    }
  }
  const traits = (robust ? ROBUST : 0) | (debug ? DEBUG : 0);
  const memory = Memory.make(kind, debug ? words + SITE_WORDS : words, traits);
  if (debug) writeSite(memory.buffer);
  return memory;
}
