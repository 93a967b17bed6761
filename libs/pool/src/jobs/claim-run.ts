/** Runs of a schedule that has a deduplication key: one begins only where no other job of that key is not done. */
import { readFileSync } from 'node:fs';
import { CancelledError } from '@heddle/primitives';
import { show } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import { failureFields } from './job-form.ts';
import type { SessionParts } from './session-parts.ts';

const CLAIM = readFileSync(new URL('./job.claim.lua', import.meta.url), 'utf8');

/** False: it was left out, and is in the queue no more. */
export async function claimRun(
  { redis }: SessionParts,
  toKey: (part: string) => string,
  job: Job,
): Promise<boolean> {
  const { id = '', deduplicationId, token = '' } = job;
  if (deduplicationId === undefined) return true;
  const keys = [id, `${id}:lock`, 'active', `de:${deduplicationId}`].map(toKey);
  const why = `the run was left out: another job of the key ${show(deduplicationId)} was not done`;
  const failure = failureFields(new CancelledError(why));
  return (await redis.eval(CLAIM, keys.length, ...keys, id, toKey(''), token, ...failure)) === 1;
}
