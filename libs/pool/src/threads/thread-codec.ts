/** How a thread writes what it tells its pool, and reads what it is told. */
import { HeddleError } from '@heddle/primitives';
import { decodeText, encodeText, fromPortable, show, toPortable } from '@heddle/primitives/internal';
import { captureContext } from '../context/context-var.ts';
import type { Codec } from './protocol.ts';
import { attach, share } from './sharing.ts';

export interface ThreadCodec {
  decode(value: unknown): unknown;
  /** @throws NotCloneableError with the path from `where` */
  encode(value: unknown, where: string): unknown;
  /** With what of it can travel. */
  encodeError(error: Error): unknown;
}

const CODECS: Readonly<Record<Codec, ThreadCodec>> = {
  text: {
    decode: (value) => decodeText(value as string),
    encode: encodeText,
    encodeError: (error) => encodeText(error, 'error', { lenient: true }),
  },
  portable: {
    decode: (value) => fromPortable(value, { attach }),
    encode: (value, where) => toPortable(value, where, { share }),
    encodeError: portableError,
  },
};

export function threadCodec(codec: Codec): ThreadCodec {
  return CODECS[codec];
}

/** The propagating context variables around the caller, with what of them can travel. */
export function portableContext(): unknown {
  return toPortable(captureContext(), 'context', { share, lenient: true });
}

export function portableError(error: unknown): unknown {
  return toPortable(error, 'error', { share, lenient: true });
}

export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  return new HeddleError(
    `the task threw something that is no Error: ${show(thrown)}`,
    'ERR_HEDDLE_NON_ERROR_THROWN',
    { cause: thrown },
  );
}
