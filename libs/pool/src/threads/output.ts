/**
 * What a thread prints, on its way to whoever wants to have it as lines with their job. Without that Node writes it to
 * the process's own outputs, between whatever that writes there.
 *
 * What bypasses the streams is not seen here: file descriptors 1 and 2 written to directly, child processes that inherit
 * them, Node's own warnings.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import process from 'node:process';
import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** Which of its outputs a thread has written to. */
export type OutputStream = 'stdout' | 'stderr';

/** What was printed by a task, or by its module on nobody's behalf: as that was loaded, or in a timer it left behind. */
export interface TaskOutput {
  /** Where it was written to. */
  readonly stream: OutputStream;
  /** The lines that one write has ended, without the last line break: one line, or a stack. */
  readonly text: string;
  /** On whose behalf; `undefined`: nobody's. */
  readonly job: string | undefined;
  /** The name of that job's task. */
  readonly task: string | undefined;
  /** Which attempt of it; 1 is the first. */
  readonly attempt: number | undefined;
  /** The propagating context variables around it, by name. */
  readonly context: Readonly<Record<string, unknown>>;
}

/** A line that has yet to end and is longer, in characters, is told of as it is: nobody may ever end it. */
const LONGEST = 65_536;

/** The beginning of a line. */
interface Begun {
  text: string;
  readonly decoder: StringDecoder;
  /** Calls a function in the context around what was written last. */
  within: <T>(fn: () => T) => T;
}

type Chunk = { readonly chunk: string | Uint8Array; readonly encoding: BufferEncoding };

/** What one stream of the thread prints, by job: lines of several must not run together. */
export class Output<J extends { readonly ended: boolean }> {
  readonly #begun = new Map<J | undefined, Begun>();
  readonly #around: () => J | undefined;
  readonly #tell: (text: string, job: J | undefined) => void;

  /** Takes the place of what the stream would do with what is written to it. */
  constructor(
    stream: OutputStream,
    around: () => J | undefined,
    tell: (text: string, job: J | undefined) => void,
  ) {
    this.#around = around;
    this.#tell = tell;
    const writable: Writable = process[stream];
    writable._write = (chunk, encoding, done) => {
      this.#take({ chunk, encoding });
      done();
    };
    writable._writev = (chunks, done) => {
      for (const each of chunks) this.#take(each);
      done();
    };
  }

  /** What a job has begun to write, it will not go on with. */
  flush(job: J | undefined): void {
    const begun = this.#begun.get(job);
    if (begun === undefined) return;
    this.#begun.delete(job);
    const rest = begun.text + begun.decoder.end();
    if (rest !== '') begun.within(() => this.#tell(rest, job));
  }

  flushAll(): void {
    for (const job of [...this.#begun.keys()]) this.flush(job);
  }

  /** The lines that one write ends are one message: a stack stays together. */
  #take({ chunk, encoding }: Chunk): void {
    const job = this.#around();
    const begun = this.#begun.get(job) ?? { text: '', decoder: new StringDecoder(), within: (fn) => fn() };
    this.#begun.set(job, begun);
    const piece = textOf(chunk, encoding, begun.decoder);
    const end = piece.lastIndexOf('\n'); // there is none in what was begun
    if (end < 0) begun.text += piece;
    else {
      this.#tell(begun.text + piece.slice(0, end), job);
      begun.text = piece.slice(end + 1);
    }
    if (begun.text !== '') begun.within = AsyncLocalStorage.snapshot();
    if (begun.text.length > LONGEST || job?.ended === true) this.flush(job);
  }
}

function textOf(chunk: string | Uint8Array, encoding: BufferEncoding, decoder: StringDecoder): string {
  if (typeof chunk !== 'string') return decoder.write(Buffer.from(chunk));
  return /^utf-?8$/i.test(encoding) ? chunk : decoder.write(Buffer.from(chunk, encoding));
}
