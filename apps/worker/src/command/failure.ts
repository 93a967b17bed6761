/** Turns whatever went wrong into one line for people and an exit code for programs. */
import { HeddleError, RedisRefusedError, RedisUnreachableError } from '@heddle/primitives';
import { exitCode } from './exit-code.ts';

/** An end that a command foresaw: its message needs no stack, its exit code is documented. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandFailure';
    this.exitCode = code;
  }
}

/** Something in the flags, the environment or the configuration file is wrong; nothing was started. */
export class UsageFailure extends CommandFailure {
  constructor(message: string) {
    super(message, exitCode.usage);
    this.name = 'UsageFailure';
  }
}

/** The exit code that belongs to an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommandFailure) return error.exitCode;
  if (error instanceof RedisUnreachableError) return exitCode.unavailable;
  if (error instanceof RedisRefusedError) return exitCode.refused;
  if (isWrongArgument(error)) return exitCode.usage;
  return exitCode.failed;
}

/** One line for an error that was foreseen; the stack too for one that was not, since that is ours to mend. */
export function describeFailure(error: unknown): string {
  if (error instanceof CommandFailure) return hideSecrets(error.message);
  if (error instanceof HeddleError) return hideSecrets(`${error.message} (${error.code})`);
  if (isWrongArgument(error)) return hideSecrets(error.message);
  if (error instanceof Error) return hideSecrets(error.stack ?? error.message);
  return String(error);
}

/** What Heddle says of an argument that came from the command line and that no schema here could judge. */
function isWrongArgument(error: unknown): error is TypeError | RangeError {
  if (!(error instanceof TypeError || error instanceof RangeError) || !('code' in error)) return false;
  return error.code === 'ERR_HEDDLE_INVALID_ARG_TYPE' || error.code === 'ERR_HEDDLE_OUT_OF_RANGE';
}

/** The text, with the password of every URL in it left out: up to the last `@`, since one may hold `/` and `@` unescaped. */
export function hideSecrets(text: string): string {
  return text.replace(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s/@:"']*:)[^\s"']*@/gi, '$1…@');
}
