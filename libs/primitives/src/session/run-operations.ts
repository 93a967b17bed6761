/** How operations and their replies are laid out for the one script; the postlude is the other end of this. */
import { RedisRefusedError } from '../errors.ts';
import type { Keyspace } from './keys.ts';
import type { Operation, Reply, ScriptClient, Scripts } from './lua.ts';
import { isPassing } from './refused.ts';

/** One operation to run. */
export interface Invocation {
  readonly operation: Operation['name'];
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

/** Whose calls these are, and the number of this one; scripts of nobody (a sweep) do without. */
export interface Envelope {
  readonly caller: string;
  /** The key that has what became of its calls. */
  readonly calls: string;
  readonly epoch: number;
  readonly seq: number;
  /** Where its reply is kept; no other unanswered call has the same. */
  readonly slot: number;
  /** The one before among the unanswered, which must have taken effect first. */
  readonly before: Pick<Envelope, 'seq' | 'slot'> | undefined;
  /** Slots whose replies were read and need not be kept, apart by spaces. */
  readonly read: string;
}

/** What all calls to one partition have in common. */
export class CallSite {
  readonly keyspace: Keyspace;
  readonly partition: number;
  /** Ms that a record lives untouched. */
  readonly keep: number;
  /** On a Cluster messages go to the shard alone. */
  readonly sharded: boolean;
  readonly sessions: string;
  readonly inbox: string;
  /** A key that never exists. */
  readonly nothing: string;

  constructor(keyspace: Keyspace, partition: number, keep: number, sharded: boolean) {
    this.keyspace = keyspace;
    this.partition = partition;
    this.keep = keep;
    this.sharded = sharded;
    this.sessions = keyspace.shared(partition).sessions;
    this.inbox = keyspace.inbox(partition);
    this.nothing = `${keyspace.tag(partition)}:nothing`;
  }
}

const NOBODY: Envelope = { caller: '', calls: '', epoch: 0, seq: 0, slot: 0, before: undefined, read: '' };

/** The script's reply, checked for its form: text or lists of text. */
export type Answer = readonly string[];

export function isAnswer(reply: Reply | undefined): reply is string[] {
  return Array.isArray(reply) && reply.every((part) => typeof part === 'string');
}

/** An argument that is longer goes as it is, not in the text that the others are part of. */
const SHORT = 512;

/** Runs operations in order in one call. The reply's tag comes first: `ok`, `no session` or `stale`. */
export function runOperations(
  client: ScriptClient,
  scripts: Scripts,
  site: CallSite,
  invocations: readonly Invocation[],
  envelope: Envelope = NOBODY,
): Promise<Reply> {
  const keys = [site.sessions, envelope.calls || site.sessions];
  const args = [''];
  const operations = invocations.map(({ operation, keys: own, args: given }) => {
    for (const key of own) keys.push(key);
    const short: string[] = [];
    let long: Record<number, number> | undefined;
    for (const each of given) {
      const arg = String(each);
      if (arg.length <= SHORT) {
        short.push(arg);
        continue;
      }
      long ??= {};
      long[short.push('')] = args.push(arg);
    }
    return long ? [operation, own.length, short, long] : [operation, own.length, short];
  });
  // While a slot moves, what a script has just removed is no longer its server's, and it would fail halfway. With a key
  // that nobody ever makes among those it names, it does not begin (TRYAGAIN) until the slot has moved.
  if (site.sharded) keys.push(site.nothing);
  args[0] = envelopeText(site, envelope, operations);
  return scripts.run(client, invocations, keys, args, () => [envelopeText(site, NOBODY, [])]);
}

/** One text, since both ends take their time over each argument. */
function envelopeText(
  { keep, inbox, sharded }: CallSite,
  { caller, epoch, seq, slot, before, read }: Envelope,
  operations: readonly unknown[],
): string {
  const publish = sharded ? 'SPUBLISH' : 'PUBLISH';
  const numbers = [`${epoch}`, `${seq}`, `${slot}`, `${before?.seq ?? 0}`, `${before?.slot ?? 0}`];
  return JSON.stringify([operations, `${keep}`, inbox, publish, caller, ...numbers, read]);
}

/** The same for one who is no session; rejects where the reply is not of the expected form, or Redis can't serve just now. */
export async function runAsNobody(
  client: ScriptClient,
  scripts: Scripts,
  site: CallSite,
  invocations: readonly Invocation[],
): Promise<Answer[]> {
  const reply = await runOperations(client, scripts, site, invocations);
  if (!Array.isArray(reply) || reply[0] !== 'ok')
    throw new RedisRefusedError(`Redis answered out of form: ${JSON.stringify(reply)}; is it Redis?`);
  const answers = reply.slice(1).filter(isAnswer);
  if (answers.length !== invocations.length) {
    throw new RedisRefusedError(`Redis answered out of form: ${JSON.stringify(reply)}; is it Redis?`);
  }
  for (const [tag, said = ''] of answers) if (tag === 'error' && isPassing(said)) throw new Error(said);
  return answers;
}
