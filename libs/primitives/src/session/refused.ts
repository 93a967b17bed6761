/** What Redis says no with, and what is to be done about it. */
import { RedisRefusedError } from '../errors.ts';

/** What a server says while it cannot serve, and soon may again. */
const PASSING = /^(LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|BUSY|UNBLOCKED|MOVED|ASK)\b/;

/** What it refuses of writes, for want of memory, disk or replicas, and may take again. */
const SHORTAGE = /\b(OOM|MISCONF|NOREPLICAS)\b/;

/** What this user may not do, until somebody allows it. */
const NO_LEAVE = /NOPERM|No permissions|user executing the script can't/i;

/**
 * Whether it was refused for want of memory, disk or replicas, which may soon be there: what gives back is tried again until it
 * is taken. Not for want of permission: Redis refuses all that goes in one call with what this user may not touch.
 */
export function isShortage(error: unknown): boolean {
  return error instanceof RedisRefusedError && SHORTAGE.test(error.message);
}

/** Whether it says something of the server alone: of what it was asked about there is nothing to be learned from it. */
export function isOfServer(said: string): boolean {
  return SHORTAGE.test(said) || NO_LEAVE.test(said);
}

/** Whether the server cannot serve for a moment: nothing to be told of. */
export function isPassing(said: string): boolean {
  return PASSING.test(said);
}

/** Whether it is a replica that says so, and takes no writes. */
export function isReadOnly(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('READONLY');
}

/** Ms between such attempts. */
export const SHORTAGE_RETRY = 500;

const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /WRONGTYPE/,
    'a key of another type stands under this name: remove it, or choose another name or namespace',
  ],
  [/WRONGPASS|NOAUTH|invalid password/i, 'check user and password'],
  [NO_LEAVE, 'allow this user the command, its keys and its channel'],
  [/READONLY/, 'it is a replica now: give the address of its master, or of its Sentinels'],
  [/OOM/, 'Redis is out of memory: free some, or raise maxmemory'],
  [/MISCONF/, 'Redis can\u2019t save its data, and takes no writes until it can: look into its log'],
  [/NOREPLICAS/, 'too few replicas are connected for its min-replicas-to-write: connect them'],
];

function remedyFor(said: string): string {
  return (
    REMEDIES.find(([pattern]) => pattern.test(said))?.[1] ?? 'look into the log and the state of the server'
  );
}

/** The name in the first key of a primitive: `{namespace:0}:kind:name:part`. */
export function nameIn(keys: readonly string[]): string | undefined {
  return /^\{[^}]*\}:(?!session:)[a-z-]+:(.*):[a-z]+$/s.exec(keys[0] ?? '')?.[1];
}

/** Calls `ask` once Redis may take writes again; asked for more than once meanwhile, once. */
export function askLater(who: { later: boolean }, ask: () => void): void {
  if (who.later) return;
  who.later = true;
  const again = () => {
    who.later = false;
    ask();
  };
  setTimeout(again, SHORTAGE_RETRY).unref();
}

/** Where in which script it was refused tells nobody anything. */
const SCRIPT = /\.? script: [0-9a-f]{40}, on @user_script:\d+\.?$/;

export function refused(
  what: string,
  said: string,
  { primitive, cause }: { primitive?: string | undefined; cause?: unknown } = {},
): RedisRefusedError {
  const shown = said.replace(SCRIPT, '');
  return new RedisRefusedError(`Redis refused ${what}: ${shown}; ${remedyFor(said)}`, { primitive, cause });
}

export function asRefused(error: unknown, said: string): RedisRefusedError {
  return error instanceof RedisRefusedError ? error : refused('to open a session', said, { cause: error });
}

/** What a server said for good; `undefined` where it could not be asked, or may answer soon. */
export function saidForGood(error: unknown): string | undefined {
  if (error instanceof RedisRefusedError) return error.message;
  const said = error instanceof Error && error.name === 'ReplyError' ? error.message : undefined;
  return said === undefined || PASSING.test(said) ? undefined : said;
}
