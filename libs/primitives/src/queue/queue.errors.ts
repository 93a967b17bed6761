/** What a distributed queue throws. */
import {
  ConfigMismatchError,
  OutcomeUnknownError,
  OverReleaseError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  rangeError,
} from '../errors.ts';
import type { QueueShape } from './queue.scripts.ts';

export function mismatch(name: string, existing: string, requested: QueueShape): ConfigMismatchError {
  const [kind = '', maxsize] = existing.split(' ');
  return new ConfigMismatchError(
    `queue ${name} exists as a ${kind} with maxsize ${maxsize}; a ${requested.kind} with ${requested.maxsize} was named: use one shape for one name`,
    { existing: { kind, maxsize: Number(maxsize) }, requested: { ...requested } },
    { primitive: name },
  );
}

export function fullError(name: string, size: string): QueueFullError {
  return new QueueFullError(
    `queue ${name} was full${size && `, with ${size} items,`} for as long as put could wait; take items, or allow a longer timeout`,
    { primitive: name },
  );
}

export function emptyError(name: string): QueueEmptyError {
  return new QueueEmptyError(
    `queue ${name} was empty for as long as get could wait; put items, or allow a longer timeout`,
    { primitive: name },
  );
}

export function shutDownError(name: string, method: 'put' | 'get'): QueueShutDownError {
  return new QueueShutDownError(
    `queue ${name} was shut down${method === 'get' ? ' and is empty' : ''}: no ${method} any more; use another name`,
    { primitive: name },
  );
}

export function overRelease(name: string): OverReleaseError {
  return new OverReleaseError(
    `queue ${name}: taskDone() was called more often than items were put; call it once for each item taken`,
    { primitive: name },
  );
}

export function unknownOutcome(name: string, cause?: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(
    `queue ${name}: Redis did not answer put before it had to end; whether the item is in is not known: put it again only where twice does no harm`,
    { primitive: name, cause },
  );
}

export function tooLarge(name: string, bytes: number, limit: number): RangeError {
  return rangeError(
    `queue ${name}: the item takes ${bytes} bytes as text, and ${limit} is the most: put what it is about elsewhere and its name here, or put it in parts`,
    'ERR_HEDDLE_ITEM_TOO_LARGE',
  );
}
