/**
 * A job whose task this host lacks, or has in another version, is left to a host that has it: it is put off for a little,
 * longer each time, and a host that has the task is told, which takes it at once if it has a place. That is no attempt.
 * Where no host that lives has the task, it fails, unless it has time to wait for one: then when that is all but over.
 */
import { readFileSync } from 'node:fs';
import { UnknownTaskError } from '@heddle/primitives';
import { show } from '@heddle/primitives/internal';
import type { Job } from 'bullmq';
import { othersWith } from './fleet.ts';
import { bullFailure } from './host-task.ts';
import { OFFER } from './job-form.ts';
import type { SessionParts } from './session-parts.ts';

const LEAVE = readFileSync(new URL('./job.leave.lua', import.meta.url), 'utf8');

/** For how long it is put off the first time, and at most, where a host has the task and where none has; in ms. */
const FIRST = 50;
const MOST = 500;
const MOST_WITHOUT = 2000;
/** With no more time left than this, in ms, it fails, while its submitter still listens. */
const LAST = 250;

export interface LeavingTerms {
  /** The host's. */
  readonly id: string;
  readonly queue: string;
  /** Which the job asks for. */
  readonly version: string | undefined;
  /** The host's own. */
  readonly own: string | undefined;
  readonly known: readonly string[];
  /** Milliseconds until the job's time to live ends; `undefined`: it has none. */
  readonly left: number | undefined;
}

/** @throws what the job fails with */
export async function leaveToOthers(
  parts: SessionParts,
  key: string,
  job: Job,
  terms: LeavingTerms,
): Promise<void> {
  const { id, queue, version, left } = terms;
  const others = await othersWith(parts, { id, queue, task: job.name, version });
  if (others.length === 0 && left === undefined)
    throw bullFailure(missing(job.name, terms, 'no host has it'));
  const time = (left ?? Number.POSITIVE_INFINITY) - LAST;
  if (time <= 0) throw bullFailure(missing(job.name, terms, 'no host that has it took it within its ttl'));
  const times = Number(await parts.redis.eval(LEAVE, 1, key));
  const most = others.length > 0 ? MOST : MOST_WITHOUT;
  // By chance, lest hosts come for it in the same order each time.
  const delay = Math.min(FIRST * 2 ** Math.min(times - 1, 10), most) * (1 + Math.random() / 2);
  await job.moveToDelayed(Date.now() + Math.ceil(Math.min(delay, time)), job.token);
  const other = others[Math.floor(Math.random() * others.length)];
  if (other !== undefined)
    await parts.publish(other.session, OFFER, JSON.stringify([other.id, queue, job.id])).catch(() => {}); // its delay ends too
}

function missing(task: string, { version, own, known }: LeavingTerms, why: string): UnknownTaskError {
  const what = version === undefined ? show(task) : `${show(task)} of version ${show(version)}`;
  const mine =
    version === undefined ? '' : own === undefined ? ', of no version,' : `, of version ${show(own)},`;
  const list = `this one${mine} ${known.length === 0 ? 'exports no function' : `has ${known.join(', ')}`}`;
  return new UnknownTaskError(`the queue's hosts have no task ${what}: ${why}; ${list}`, known);
}
