/** How operations and their replies are laid out for the one script; the postlude is the other end of this. */
import { RedisRefusedError } from '../errors.ts';
import type { Keyspace } from './keys.ts';
import type { Operation, Reply, Script, ScriptClient } from './lua.ts';

/** One operation to run. */
export interface Invocation {
  readonly operation: Operation['name'];
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

/** Whose calls these are, and the number of this one; scripts of nobody (a sweep) do without. */
export interface Envelope {
  readonly caller: string;
  readonly epoch: number;
  readonly seq: number;
  /** The oldest number whose reply has not been read yet. */
  readonly oldest: number;
  /** The number before this one among the unanswered, which must have taken effect first; 0: none. */
  readonly previous: number;
}

/** What all calls to one partition have in common. */
export interface CallSite {
  readonly keyspace: Keyspace;
  readonly partition: number;
  /** Ms that a record lives untouched. */
  readonly keep: number;
  /** On a Cluster messages go to the shard alone. */
  readonly sharded: boolean;
}

const NOBODY: Envelope = { caller: '', epoch: 0, seq: 0, oldest: 0, previous: 0 };

/** The script's reply, checked for its form: text or lists of text. */
export type Answer = readonly string[];

export function isAnswer(reply: Reply | undefined): reply is string[] {
  return Array.isArray(reply) && reply.every((part) => typeof part === 'string');
}

/** Runs operations in order in one call. The reply's tag comes first: `ok`, `no session` or `stale`. */
export function runOperations(
  client: ScriptClient,
  script: Script,
  site: CallSite,
  invocations: readonly Invocation[],
  envelope: Envelope = NOBODY,
): Promise<Reply> {
  const { keyspace, partition } = site;
  const sessions = keyspace.shared(partition).sessions;
  const calls = envelope.caller === '' ? sessions : keyspace.ofSession(partition, envelope.caller).calls;
  const keys = [sessions, calls];
  const args: (string | number)[] = [
    envelope.caller,
    envelope.epoch,
    envelope.seq,
    envelope.oldest,
    site.keep,
    keyspace.inbox(partition),
    site.sharded ? 'SPUBLISH' : 'PUBLISH',
    invocations.length,
    envelope.previous,
  ];
  for (const { operation, keys: own, args: given } of invocations) {
    keys.push(...own);
    args.push(operation, own.length, given.length, ...given);
  }
  return script.run(client, keys, args);
}

/** The same for one who is no session; rejects where the reply is not of the expected form. */
export async function runAsNobody(
  client: ScriptClient,
  script: Script,
  site: CallSite,
  invocations: readonly Invocation[],
): Promise<Answer[]> {
  const reply = await runOperations(client, script, site, invocations);
  if (!Array.isArray(reply) || reply[0] !== 'ok')
    throw new RedisRefusedError(`Redis answered out of form: ${JSON.stringify(reply)}; is it Redis?`);
  const answers = reply.slice(1).filter(isAnswer);
  if (answers.length !== invocations.length) {
    throw new RedisRefusedError(`Redis answered out of form: ${JSON.stringify(reply)}; is it Redis?`);
  }
  return answers;
}
