import * as pool from '@heddle/pool';
import * as primitives from '@heddle/primitives';
import { expect, it } from 'vitest';

it('exports executors and what they raise, and nothing by accident', () => {
  expect(Object.keys(pool).sort()).toEqual([
    'BrokenExecutorError',
    'CancelledError',
    'ContextVar',
    'DistributedExecutor',
    'Future',
    'InvalidStateError',
    'LeaseLostError',
    'NotCloneableError',
    'OutcomeUnknownError',
    'QueueFullError',
    'RedisRefusedError',
    'SessionClosedError',
    'ThreadCrashedError',
    'ThreadPoolExecutor',
    'TimeoutError',
    'UnknownTaskError',
    'WorkerHost',
    'asCompleted',
    'deadLetters',
    'drainQueue',
    'fleet',
    'jobLogs',
    'pauseQueue',
    'removeQueue',
    'replay',
    'resumeQueue',
    'wait',
  ]);
});

it('has its errors from the one family', () => {
  const errors = Object.entries(pool).filter(([name]) => name.endsWith('Error'));
  for (const [name, error] of errors) expect(Reflect.get(primitives, name)).toBe(error);
});
