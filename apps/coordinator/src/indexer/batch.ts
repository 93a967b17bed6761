/** Packs found files into batches: big enough that a job's cost does not show, small enough that all threads share the work to its end. */
import type { FoundFile } from './walk.ts';

export interface BatchLimits {
  /** At most so many files. */
  readonly files: number;
  /** Full once it has so many bytes; one huge file may be more, alone. */
  readonly bytes: number;
}

export interface Batch {
  /** 0, 1, 2 … */
  readonly number: number;
  readonly files: readonly FoundFile[];
}

/** Yields the files in batches, none of them empty. */
export async function* inBatches(
  files: AsyncIterable<FoundFile>,
  limits: BatchLimits,
): AsyncGenerator<Batch> {
  let number = 0;
  let batch: FoundFile[] = [];
  let bytes = 0;
  const close = (): Batch => {
    const full = { number, files: batch };
    number += 1;
    batch = [];
    bytes = 0;
    return full;
  };
  for await (const file of files) {
    if (batch.length > 0 && bytes + file.size > limits.bytes) yield close();
    batch.push(file);
    bytes += file.size;
    if (batch.length >= limits.files || bytes >= limits.bytes) yield close();
  }
  if (batch.length > 0) yield close();
}

/** Paths as one array of bytes: a NUL, which no path can hold, between them. */
export function joinPaths(files: readonly FoundFile[]): Uint8Array {
  const parts = files.flatMap(({ path }, i) => (i === 0 ? [path] : [Buffer.from([0]), path]));
  return new Uint8Array(Buffer.concat(parts));
}

/** The reverse of `joinPaths`. */
export function splitPaths(joined: Uint8Array): Buffer[] {
  const bytes = Buffer.from(joined.buffer, joined.byteOffset, joined.byteLength);
  const paths: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
    paths.push(bytes.subarray(start, end));
    start = end + 1;
  }
  paths.push(bytes.subarray(start));
  return paths;
}
