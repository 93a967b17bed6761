/** What a task has said or printed, as fields of a line of the log. */
import { inspect } from 'node:util';

/** Characters of what a task says in one line: a log that is given more than it may keep waiting drops the whole of it. */
const LONGEST = 2 ** 16;

/** The text as a line of the log has it. */
export function lineText(text: string): string {
  if (text.length <= LONGEST) return text;
  return `${text.slice(0, LONGEST)}… (the first ${LONGEST} of ${text.length} characters)`;
}

/** What a line has of its own, or what readers of such lines take to be so. */
const TAKEN: ReadonlySet<string> = new Set([
  ...['level', 'time', 'pid', 'hostname', 'name', 'worker', 'msg', 'err'],
  ...['job', 'task', 'attempt', 'stream', 'context'],
]);

/** Context variables stand beside the job; those whose names a line has already stand under `context`. */
export function lineFields(
  context: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const entries = Object.entries(context).map(([name, value]) => [name, readable(value)] as const);
  const beside = entries.filter(([name]) => !TAKEN.has(name));
  const within = entries.filter(([name]) => TAKEN.has(name));
  return {
    ...Object.fromEntries(beside),
    ...fields,
    ...(within.length === 0 ? {} : { context: Object.fromEntries(within) }),
  };
}

/** As JSON has it; what JSON would lose of it as Node shows it, in one line. */
function readable(value: unknown): unknown {
  const shown = (part: unknown) => inspect(part, { breakLength: Number.POSITIVE_INFINITY });
  try {
    const text = JSON.stringify(value, (_, part: unknown) => (inJson(part) ? part : shown(part)));
    return JSON.parse(text);
  } catch {
    return shown(value); // it goes in circles
  }
}

function inJson(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null)
    return ['string', 'boolean', 'object'].includes(typeof value);
  return Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value));
}
