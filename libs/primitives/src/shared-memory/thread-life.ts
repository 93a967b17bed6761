/** Which thread is this to the operating system, and does that one still live? */
import { existsSync, readlinkSync } from 'node:fs';

let own: number | undefined;

/** The operating system's id of the calling thread (Linux: `/proc/thread-self`); elsewhere `undefined`. */
export function nativeThreadId(): number | undefined {
  if (own === undefined) {
    try {
      own = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    } catch {
      own = 0;
    }
  }
  return own > 0 ? own : undefined;
}

/** Whether the thread of that id has ended. False where that can't be known. */
export function hasEnded(nativeId: number): boolean {
  return nativeThreadId() !== undefined && nativeId > 0 && !existsSync(`/proc/self/task/${nativeId}`);
}
