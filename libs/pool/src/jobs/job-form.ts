/** What a job is in Redis: its queue's name, its payload, its outcome. Written by submitters and hosts, read by either. */
import { hostname } from 'node:os';
import { CancelledError, HeddleError, ThreadCrashedError } from '@heddle/primitives';
import { decodeText, encodeText, rangeError } from '@heddle/primitives/internal';
import type { Failure } from '../future/failure.ts';
import { checkName } from '../primitive-name.ts';
import type { HandleForm } from '../threads/session-protocol.ts';

/** The most characters that arguments or a result may have as text, … */
export const LARGEST_VALUE = 64 * 2 ** 20;
/** … and errors, and the arguments of what is repeated, which lie in the job itself whatever their size. */
export const LARGEST_INSIDE = 16 * 2 ** 20;

/** A job's data. Values are text, as `encodeText` writes it, so that no host's main thread takes them apart. */
export interface JobPayload {
  /** Arguments; of a chunk, inputs. Or the mark of where they are: see `large-texts.ts`. */
  readonly args: string;
  readonly context?: string;
  /** The session that wants to hear of it. */
  readonly from: string;
  readonly chunk?: true;
  /** Milliseconds one attempt may run. */
  readonly timeout?: number;
  /** What to hold while it runs. */
  readonly holding?: HandleForm;
  /** Which version a host must be of. */
  readonly version?: string;
  /** When its time to live ends, in ms since 1970 by Redis's clock. */
  readonly until?: number;
  /** The same for each run of a job that is repeated: ms from when the run was due. */
  readonly ttl?: number;
  /** How often it had failed before it was replayed. */
  readonly before?: number;
  /** The trace it is part of. */
  readonly trace?: Readonly<Record<string, string>>;
}

/** Redis's name of a queue, and the prefix of its keys, which keeps them in one slot. */
export interface QueueAddress {
  readonly name: string;
  readonly prefix: string;
  /** As users call it. */
  readonly given: string;
}

/** @throws TypeError for a name that is none (1 to 512 bytes, no `{`, `}` or control characters). */
export function queueAddress(namespace: string, queue: unknown, where: string): QueueAddress {
  const name = checkName(queue, `${where}: queue`);
  // BullMQ parts its keys by colons.
  return { name: name.replaceAll(':', '%3A'), prefix: `{${namespace}:queue:${name}}`, given: name };
}

/** @throws RangeError for what is too large to go through Redis. */
export function checkSize(text: string, what: string, most = LARGEST_VALUE): string {
  if (text.length <= most) return text;
  throw rangeError(
    `${what} would be ${text.length} characters in Redis; ${most} is the most: pass a reference to it instead`,
    'ERR_HEDDLE_TOO_LARGE',
  );
}

/** A payload, or undefined where a job was not put there by Heddle. */
export function readPayload(data: unknown): JobPayload | undefined {
  if (data === null || typeof data !== 'object') return undefined;
  const { args, from, context } = data as Partial<JobPayload>;
  const well =
    typeof args === 'string' && typeof from === 'string' && ['undefined', 'string'].includes(typeof context);
  return well ? (data as JobPayload) : undefined;
}

/** Stands between the readable stack that BullMQ keeps of a failure and what it was, a colon, and the whole error. */
const WHOLE_ERROR = '\n    -- heddle ';

/** The stack of a failure that is not the task's own: readable, with the whole error behind it. */
export function packError(error: Error): string {
  const what = error instanceof CancelledError ? 'cancelled' : 'error';
  return pack(error, what, encodeText(error, 'error', { lenient: true }));
}

/** For so long, in ms, a job that was taken out says so to who asks after it, as followers do twice a second. */
const SAYS_SO = 10_000;

/** The reason and the stacks that a job has failed with where a script ends it, and for how long they are kept in ms. */
export function failureFields(error: CancelledError): [reason: string, stacks: string, kept: number] {
  return [`${error.name}: ${error.message}`, JSON.stringify([packError(error)]), SAYS_SO];
}

/** Of what the task threw, whatever that is: also where it is what awaiting another gave, which was cancelled. */
export function packThrown(error: Error, text: string): string {
  return pack(error, 'error', text);
}

function pack(error: Error, what: Failure['what'], text: string): string {
  return `${error.stack ?? `${error.name}: ${error.message}`}${WHOLE_ERROR}${what}: ${text}`;
}

/** What a job has failed with, from its last stack and its reason. */
export function unpackFailure(stack: string | undefined, reason: string): Failure {
  const at = stack?.lastIndexOf(WHOLE_ERROR) ?? -1;
  if (stack !== undefined && at >= 0) {
    const colon = stack.indexOf(': ', at);
    const what = stack.slice(at + WHOLE_ERROR.length, colon);
    const error = decodeText(stack.slice(colon + 2));
    if (error instanceof Error) return { what: what === 'cancelled' ? what : 'error', error };
  }
  const error = reason.includes('stalled')
    ? new ThreadCrashedError(`the hosts that ran the job ended under it, again and again (${reason})`)
    : new HeddleError(`the job failed: ${reason}`, 'ERR_HEDDLE_JOB_FAILED');
  return { what: 'error', error };
}

/** What a host tells the submitter: the job's id, what, and the text that goes with it. */
export type JobNews = readonly [
  id: string,
  what: 'ok' | Failure['what'] | 'fetch' | 'running' | 'pending' | 'progress',
  text: string,
];

/** What a host says to who wants to take a job back: it will never begin, it has begun, or is not in its hands. */
export type CancelAnswer = 'cancelled' | 'begun' | 'unknown';

/** The kinds of inbox messages: a list of news; an abort; whether a job can be cancelled; a job that another host has left. */
export const NEWS = 'jobs';
export const ABORT = 'job-abort';
export const CANCEL = 'job-cancel';
export const CANCEL_ANSWER = 'job-cancel-answer';
export const OFFER = 'job-offer';

/** No message of ours is longer; a larger outcome is fetched by who wants it. */
export const LONGEST_MESSAGE = 2 ** 20;
export const LARGEST_NEWS = 2 ** 17;

export const thisHost = hostname();
