/**
 * What a thread prints, on its way to whoever wants to have it as lines with their job. Without that Node writes it to
 * the process's own outputs, between whatever that writes there.
 *
 * What bypasses the streams is not seen here: file descriptors 1 and 2 written to directly, child processes that inherit
 * them, Node's own warnings.
 */
import process from 'node:process';
import type { Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

export type OutputStream = 'stdout' | 'stderr';

/** What was printed by a task, or by its module on nobody's behalf: as that was loaded, or in a timer it left behind. */
export interface TaskOutput {
  readonly stream: OutputStream;
  /** What one write has printed, without the line break at its end. */
  readonly text: string;
  /** On whose behalf; `undefined`: nobody's. */
  readonly job: string | undefined;
  readonly task: string | undefined;
  readonly attempt: number | undefined;
  /** The propagating context variables around it, by name. */
  readonly context: Readonly<Record<string, unknown>>;
}

/** A line that is longer, in characters, is told of in pieces. */
const LONGEST = 65_536;

/** The beginning of a line. */
interface Begun {
  text: string;
  readonly decoder: StringDecoder;
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
    if (rest !== '') this.#tell(rest, job);
  }

  flushAll(): void {
    for (const job of [...this.#begun.keys()]) this.flush(job);
  }

  /** The lines that one write ends are one message: a stack stays together. */
  #take({ chunk, encoding }: Chunk): void {
    const job = this.#around();
    const begun = this.#begun.get(job) ?? { text: '', decoder: new StringDecoder() };
    this.#begun.set(job, begun);
    begun.text += textOf(chunk, encoding, begun.decoder);
    const end = begun.text.lastIndexOf('\n');
    if (end >= 0) {
      this.#tell(begun.text.slice(0, end), job);
      begun.text = begun.text.slice(end + 1);
    }
    if (begun.text.length > LONGEST || job?.ended === true) this.flush(job);
  }
}

function textOf(chunk: string | Uint8Array, encoding: BufferEncoding, decoder: StringDecoder): string {
  if (typeof chunk !== 'string') return decoder.write(Buffer.from(chunk));
  return /^utf-?8$/i.test(encoding) ? chunk : decoder.write(Buffer.from(chunk, encoding));
}
