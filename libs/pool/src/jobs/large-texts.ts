/**
 * Arguments and results that are too large to lie in a job: each in a hash of its own beside it, in pieces, so that no
 * command takes long and nobody holds more than the text and one piece. In its place in the job stands a mark.
 *
 * The keys are two of those that BullMQ removes with every job, and uses only for flows of its own, which are none of ours:
 * so they end with the job, however it ends. Until it is in Redis, and where nothing ever ends it, a time to live does that.
 * Each writer has field names of its own: two hosts that both have the job do not write into each other's text.
 */
import { randomUUID } from 'node:crypto';
import { OutcomeUnknownError } from '@heddle/primitives';
import type { JobsOptions } from 'bullmq';
import type { SessionParts } from './session-parts.ts';

/** Of longer texts, in characters, only the mark is in the job. */
export const LARGEST_IN_JOB = 2 ** 20;
const PIECE = 2 ** 20;
/** Where nothing else ends them: ms. */
export const LAST_RESORT = 24 * 3_600_000;

/** No text that `encodeText` writes begins like this. */
export const MARK = '#';

/** The keys of a job's arguments and of its result, beside its own. */
export const argumentsKey = (job: string): string => `${job}:failed`;
export const resultKey = (job: string): string => `${job}:processed`;

export function isMark(text: string): boolean {
  return text.startsWith(MARK);
}

/** Puts a text there; gives its mark. */
export async function putText(
  { redis }: SessionParts,
  key: string,
  text: string,
  ttl: number,
): Promise<string> {
  const writer = randomUUID();
  let pieces = 0;
  for (let at = 0; at < text.length; pieces += 1) {
    const end = endOfPiece(text, at);
    await redis.hset(key, `${writer}:${pieces}`, text.slice(at, end));
    if (at === 0) await redis.pexpire(key, ttl);
    at = end;
  }
  return `${MARK}${writer}:${pieces}`;
}

/** @throws OutcomeUnknownError where it is not there any more */
export async function getText({ redis }: SessionParts, key: string, mark: string): Promise<string> {
  const [writer = '', count = ''] = mark.slice(MARK.length).split(':');
  const pieces: string[] = [];
  for (let n = 0; n < Number(count); n += 1) {
    const piece = await redis.hget(key, `${writer}:${n}`);
    if (piece === null)
      throw new OutcomeUnknownError('what is too large to lie in the job itself is not in Redis any more');
    pieces.push(piece);
  }
  return pieces.join('');
}

/** Milliseconds for which BullMQ is to keep a job that has ended. */
export function keptFor(keep: JobsOptions['removeOnComplete']): number {
  const age = typeof keep === 'object' && 'age' in keep ? keep.age : undefined;
  return age === undefined ? LAST_RESORT : 1000 * age;
}

/** Not between the two halves of a character. */
function endOfPiece(text: string, at: number): number {
  const end = Math.min(at + PIECE, text.length);
  const last = text.charCodeAt(end - 1);
  return end < text.length && last >= 0xd800 && last <= 0xdbff ? end - 1 : end;
}
