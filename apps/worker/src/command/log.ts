/** Logs as JSON lines, or in colour for a person at a terminal. */
import { isatty } from 'node:tty';
import { type DestinationStream, destination, type Logger, type LoggerOptions, pino } from 'pino';
import pretty from 'pino-pretty';
import { hideSecrets } from './failure.ts';

/** Characters of the log that wait to be written, at most. */
const MOST_WAITING = 2 ** 20;

export interface LogSettings {
  readonly logLevel: string;
  readonly logFormat: 'auto' | 'json' | 'pretty';
}

/**
 * A logger that has written a line before it returns: the last line before an exit is the one that matters.
 * `fd` is 1 for programs whose output is their log, 2 for those that have a result to print.
 */
export function openLog(
  { logLevel, logFormat }: LogSettings,
  fd: 1 | 2,
  options: LoggerOptions = {},
): Logger {
  const inColour = logFormat === 'pretty' || (logFormat === 'auto' && isatty(fd));
  const stream: DestinationStream = inColour
    ? pretty({ destination: fd, sync: true, colorize: isatty(fd), ignore: 'pid,hostname' })
    : toFile(fd);
  return pino({ level: logLevel, serializers: { err: shownError }, ...options }, stream);
}

/** What can't be written (a full disk) waits until it can, and is dropped beyond that: no job is to end for it. */
function toFile(fd: 1 | 2): DestinationStream {
  const stream = destination({ dest: fd, sync: true, maxLength: MOST_WAITING });
  stream.on('error', () => {});
  return stream;
}

/** An error without its own fields: those of a Redis client hold the command that failed, passwords and all. */
function shownError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const shown = { message: hideSecrets(message), stack: stack && hideSecrets(stack) };
  return { type: name, ...shown, ...('code' in error ? { code: error.code } : {}) };
}
