/** What of a submission BullMQ is told: what it does with that is its own. */
import { describe, expect, it } from 'vitest';
import { jobOfCall, KEEP } from './call-job.ts';
import type { SubmitOptions } from './executor.ts';

const job = (options: SubmitOptions, keep = KEEP) =>
  jobOfCall({ task: 't', args: [1], options, chunk: false }, 'from', keep);

const plain = {
  attempts: 1,
  stackTraceLimit: 3,
  removeOnComplete: { age: 3600, count: 100_000 },
  removeOnFail: { age: 3600, count: 100_000 },
};

describe('a job as BullMQ is given it', () => {
  it.each<[SubmitOptions, object]>([
    [{}, {}],
    [{ retries: 2 }, { attempts: 3 }],
    [{ backoff: 30 }, { backoff: { type: 'fixed', delay: 30 } }],
    [{ backoff: { type: 'fixed', delay: 30 } }, { backoff: { type: 'fixed', delay: 30 } }],
    [
      { backoff: { type: 'exponential', delay: 5, jitter: 0.5 } },
      { backoff: { type: 'exponential', delay: 5, jitter: 0.5 } },
    ],
    [{ priority: 3 }, { priority: 3 }],
    [{ delay: 40 }, { delay: 40 }],
    [{ dedupe: 'k' }, { deduplication: { id: 'k' } }],
  ])('has for %j the options %j beside those of every one', (options, expected) => {
    expect(job(options).opts).toEqual({ ...plain, ...expected });
  });

  it('keeps its outcome, whichever that is, as its executor was told', () => {
    const keep = { age: 5, count: 7 };
    expect(job({}, keep).opts).toMatchObject({ removeOnComplete: keep, removeOnFail: keep });
  });

  it('moves nothing', () => {
    expect(job({ transfer: [] }).opts).toEqual(plain);
    const moving = () => job({ transfer: [new ArrayBuffer(1)] });
    expect(moving).toThrow(expect.objectContaining({ name: 'TypeError', code: 'ERR_HEDDLE_LOCAL_ONLY' }));
  });

  it('has what its host is to know beside its arguments', () => {
    const limits = { timeout: 40, version: '2', holding: 'loom' };
    expect(job(limits).data).toMatchObject({ from: 'from', timeout: 40, version: '2' });
    expect(job(limits).data.holding).toMatchObject({ make: 'lock', name: 'loom' });
    expect(Object.keys(job({ timeout: Number.POSITIVE_INFINITY }).data)).toEqual(['args', 'from']);
  });
});
