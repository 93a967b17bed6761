/** Every kind of primitive there is in Redis: its operations, and how its records are swept. */
import { barrierOperations, barrierRecord } from './barrier/barrier.scripts.ts';
import { conditionOperations, conditionRecord } from './condition/condition.scripts.ts';
import { counterOperations } from './counter/counter.scripts.ts';
import { eventOperations, eventRecord } from './event/event.scripts.ts';
import { latchOperations, latchRecord } from './latch/latch.scripts.ts';
import { lockOperations, lockRecord } from './lock/lock.scripts.ts';
import { queueOperations, queueRecord } from './queue/queue.scripts.ts';
import { semaphoreOperations, semaphoreRecord } from './semaphore/semaphore.scripts.ts';
import type { Machinery } from './session/core.ts';
import type { Operation } from './session/lua.ts';
import { sessionOperations } from './session/session.scripts.ts';

/** What a session is opened with: all that the primitives bring along. */
export const machinery: Machinery = {
  operations: [
    ...lockOperations,
    ...semaphoreOperations,
    ...eventOperations,
    ...barrierOperations,
    ...queueOperations,
    ...conditionOperations,
    ...latchOperations,
    ...counterOperations,
  ],
  /** What a record is of, and messages are for. */
  kinds: {
    lock: lockRecord,
    rlock: lockRecord,
    'condition-lock': lockRecord,
    'quorum-lock': lockRecord,
    condition: conditionRecord,
    semaphore: semaphoreRecord,
    event: eventRecord,
    barrier: barrierRecord,
    latch: latchRecord,
    rwlock: semaphoreRecord,
    queue: queueRecord,
  },
};

/** Every operation there is, for the test that holds their headers to their doors. */
export const operations: readonly Operation[] = [...sessionOperations, ...machinery.operations];
