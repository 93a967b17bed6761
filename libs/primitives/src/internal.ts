/**
 * For Heddle's own packages, not for users: no promise holds here. What the pools need of the machinery below the
 * primitives, so that each idea has one place. What they need of a session is in `internal.distributed.ts`, apart: it loads
 * ioredis.
 */
export { Deadline, now } from './deadline.ts';
export { rangeError, show, typeError } from './errors.ts';
export { adoptThread, currentLogicalThread, enterJob, type HoldingBody, runWithin } from './identity.ts';
export { useLease } from './lock/use-lease.ts';
export { onAbort } from './on-abort.ts';
export {
  checkAlone,
  checkCount,
  checkFunction,
  checkKnown,
  checkMaxHold,
  checkOptions,
  checkSignal,
  checkTimeout,
  checkWait,
} from './options.ts';
export { LeaseWords } from './shared-memory/lease-words.ts';
export { sleep, wake } from './shared-memory/word.ts';
export { attachTravelling, isHandle, isShareable, shareTravelling } from './sharing/share.ts';
export { tellUncaught } from './thread/except-hook.ts';
export { reportThreadEnd } from './thread/thread-end.ts';
export { workerArgv } from './thread/worker-argv.ts';
export { registerErrorClass } from './values/error-record.ts';
export { fromPortable, type PortableOptions, toPortable } from './values/portable.ts';
export { decodeText, encodeText } from './values/text.ts';
export type { WalkOptions } from './values/walk.ts';
