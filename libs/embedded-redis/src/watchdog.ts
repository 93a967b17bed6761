import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';

/**
 * Reads, line by line, the process id of the server to end (an empty line: none). The pipe closes when this
 * process ends, however it ends, and then the server's process group and its directory go. Signals meant for
 * the whole terminal or service are ignored, or the watchdog would be gone before the one it watches.
 * A dying server may still create a file while the directory is being removed; hence the second attempt.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM
pid=
while IFS= read -r line; do pid=$line; done
[ -n "$pid" ] && kill -KILL "-$pid" 2>/dev/null
rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }`;

/** A shell of about 1 MB that ends a server and removes its directory when this process is no more. */
export class Watchdog {
  readonly #dir: string;
  readonly #shell: ChildProcess;
  readonly #pipe: Socket;

  constructor(dir: string) {
    this.#dir = dir;
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT, 'heddle-redis-watchdog', dir], {
      cwd: '/',
      detached: true,
      env: { PATH: `/usr/bin:/bin:${process.env.PATH ?? ''}` },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#shell.on('error', () => {});
    this.#shell.unref();
    // A child's piped stdin is a net.Socket; the type only promises a Writable.
    this.#pipe = this.#shell.stdin as Socket;
    this.#pipe.on('error', () => {});
    this.#pipe.unref();
  }

  /** Names the process group to end; resolves when the watchdog is sure to learn of it. */
  watch(pid: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pipe.write(`${pid}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** The server has ended: its id may be given to another process from now on. */
  forget(): void {
    if (this.#pipe.writable) this.#pipe.write('\n');
  }

  /** Has the server ended, if one is still named, and its directory removed. */
  async close(): Promise<void> {
    this.#pipe.end();
    if (this.#shell.pid !== undefined && this.#shell.exitCode === null && this.#shell.signalCode === null) {
      this.#shell.ref();
      await once(this.#shell, 'exit');
    }
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 3 });
  }
}
