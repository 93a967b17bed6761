import { constants } from 'node:os';

/** What a command's exit code says. The numbers follow `sysexits.h`, timeout(1) and the shells, where they have one. */
export const exitCode = {
  ok: 0,
  /** It ran, and what it found or did is not right: see the message. */
  failed: 1,
  /** Wrong flags, environment or configuration file. Nothing was started. */
  usage: 2,
  /** A file or directory that was named is not there or can't be used. */
  noInput: 66,
  /** Redis can't be reached. */
  unavailable: 69,
  /** The task module can't be loaded. */
  badTasks: 70,
  /** Redis was reached and refused: wrong password, too old, evicts keys. */
  refused: 77,
  /** `heddle lock`: the lock was not free within the time-out. */
  timedOut: 124,
  /** `heddle lock`: the lease was lost while CMD ran. */
  leaseLost: 125,
  /** `heddle lock`: CMD was found and can't be executed. */
  notExecutable: 126,
  /** `heddle lock`: CMD was not found. */
  notFound: 127,
} as const;

/** The exit code a shell gives for a program that a signal ended. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
