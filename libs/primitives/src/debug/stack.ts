/** Where in the caller's code we are: a stack without our own frames and Node's. */
import { fileURLToPath } from 'node:url';

/** The most of a stack that is kept, in characters: some ten frames. */
const MOST = 1_000;

const ROOT = new URL('..', import.meta.url);
const OURS = [ROOT.href, fileURLToPath(ROOT)];
/** Tests stand beside what they test. */
const A_TEST = /\.spec\.ts|\/testing\//;

/** The caller's frames, one a line; the innermost first. */
export function stackHere(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 24;
  const { stack = '' } = new Error();
  Error.stackTraceLimit = limit;
  const frames = stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim());
  const theirs = frames.filter((frame) => !frame.includes('node:internal') && !isOurs(frame));
  return cut((theirs.length > 0 ? theirs : frames).join('\n'), MOST);
}

/** The place in the innermost of these frames: `file:line:column`. */
export function siteOf(stack: string): string {
  const [frame = ''] = stack.split('\n');
  return cut(/\((.*)\)$/.exec(frame)?.[1] ?? frame.replace(/^at (async )?/, ''), 160);
}

function isOurs(frame: string): boolean {
  return OURS.some((root) => frame.includes(root)) && !A_TEST.test(frame);
}

function cut(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
