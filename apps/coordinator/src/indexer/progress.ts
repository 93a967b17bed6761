/** How far it is: a bar on a terminal, a plain line now and then elsewhere. */
import process from 'node:process';
import { SingleBar } from 'cli-progress';

export interface Progress extends Disposable {
  /** The walk found more. */
  found(files: number): void;
  /** The walk is through: what was found is all. */
  complete(): void;
  /** Files were done. */
  done(files: number, bytes: number): void;
  /** A line for people, above the bar where there is one. */
  say(line: string): void;
}

/** How often a plain line tells how far it is, in ms. */
const plainInterval = 2_000;

/** Shows the progress of `what` on `stream`; a bar where that is a terminal. */
export function showProgress(stream: NodeJS.WriteStream, what: string): Progress {
  return stream.isTTY ? new BarProgress(stream, what) : new PlainProgress(stream, what);
}

class Tally {
  foundFiles = 0;
  doneFiles = 0;
  doneBytes = 0;
  complete = false;
  readonly #start = performance.now();

  megabytes(): string {
    return (this.doneBytes / 1e6).toFixed(1);
  }

  megabytesPerSecond(): string {
    return (this.doneBytes / 1e3 / Math.max(1, performance.now() - this.#start)).toFixed(1);
  }
}

class BarProgress implements Progress {
  readonly #bar: SingleBar;
  readonly #stream: NodeJS.WriteStream;
  readonly #tally = new Tally();
  readonly #stop = () => this.#bar.stop();

  constructor(stream: NodeJS.WriteStream, what: string) {
    this.#stream = stream;
    const format = `${what} {bar} {percentage}% {value}/{total} files, {mb} MB, {rate} MB/s`;
    this.#bar = new SingleBar({
      stream,
      format,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
      fps: 10,
    });
    this.#bar.start(1, 0, this.#payload());
    // Also where the process is ended at once: the terminal wants its cursor back.
    process.once('exit', this.#stop);
  }

  found(files: number): void {
    this.#tally.foundFiles += files;
    this.#draw();
  }

  complete(): void {
    this.#tally.complete = true;
    this.#draw();
  }

  done(files: number, bytes: number): void {
    this.#tally.doneFiles += files;
    this.#tally.doneBytes += bytes;
    this.#draw();
  }

  say(line: string): void {
    this.#stream.write(`\r\u001b[K${line}\n`);
    this.#bar.render();
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#stop);
    this.#stop();
  }

  #draw(): void {
    this.#bar.setTotal(Math.max(1, this.#tally.foundFiles));
    this.#bar.update(this.#tally.doneFiles, this.#payload());
  }

  #payload(): { mb: string; rate: string } {
    return { mb: this.#tally.megabytes(), rate: this.#tally.megabytesPerSecond() };
  }
}

class PlainProgress implements Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #what: string;
  readonly #tally = new Tally();
  readonly #timer: NodeJS.Timeout;
  #told = '';

  constructor(stream: NodeJS.WriteStream, what: string) {
    this.#stream = stream;
    this.#what = what;
    this.#timer = setInterval(() => this.#tell(), plainInterval);
    this.#timer.unref();
  }

  found(files: number): void {
    this.#tally.foundFiles += files;
  }

  complete(): void {
    this.#tally.complete = true;
  }

  done(files: number, bytes: number): void {
    this.#tally.doneFiles += files;
    this.#tally.doneBytes += bytes;
  }

  say(line: string): void {
    this.#stream.write(`${line}\n`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#tell();
  }

  #tell(): void {
    const { doneFiles, foundFiles, complete } = this.#tally;
    const line = `${this.#what}: ${doneFiles} of ${foundFiles}${complete ? '' : ' or more'} files, ${this.#tally.megabytes()} MB, ${this.#tally.megabytesPerSecond()} MB/s`;
    if (foundFiles > 0 && line !== this.#told) this.say(line);
    this.#told = line;
  }
}
