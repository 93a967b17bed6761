/** What a pool says where a task, or all of them, can't be run. */
import { fileURLToPath } from 'node:url';
import { BrokenExecutorError, ThreadCrashedError, TimeoutError, UnknownTaskError } from '@heddle/primitives';
import type { PooledTask } from './pooled-task.ts';
import type { Stage } from './protocol.ts';

/** The module has no such task; `known` are those it has. */
export function unknownTask(name: string, known: readonly string[]): UnknownTaskError {
  const list = known.length === 0 ? 'it exports no function' : `it has ${known.join(', ')}`;
  return new UnknownTaskError(`the task module has no task ${JSON.stringify(name)}; ${list}`, known);
}

/** One attempt took longer than it may. */
export function tookTooLong({ name, timeout }: PooledTask): TimeoutError {
  return new TimeoutError(`the task ${JSON.stringify(name)} took longer than its ${timeout} ms`);
}

/** Its thread ended under a task, by itself or by this error. */
export function crashedUnder(
  task: string,
  thread: string,
  code: number,
  error: Error | undefined,
): ThreadCrashedError {
  const how = error === undefined ? `exited with code ${code}` : `ended: ${error.message}`;
  const message = `the thread ${thread} ${how} while it ran the task ${JSON.stringify(task)}`;
  return new ThreadCrashedError(message, { cause: error });
}

/** A thread could not start, and no other will. */
export function cannotStart(
  { module, initializer }: { readonly module: string; readonly initializer: string | undefined },
  error: Error,
  stage: Stage,
): BrokenExecutorError {
  const imported = `importing the task module ${module}`;
  const either = initializer === undefined ? imported : `${imported}, or the initializer,`;
  const what = { import: imported, initializer: 'the initializer', start: either }[stage];
  const remedy =
    stage === 'import' && namesNoLine(error)
      ? `; Node tells no line of it here: \`node ${pathOf(module)}\` does`
      : '';
  return new BrokenExecutorError(`the pool is broken: ${what} failed: ${error.message}${remedy}`, {
    cause: error,
  });
}

/** What Node says of JavaScript that it can't parse has its line only where nobody catches it. */
function namesNoLine({ name, message, stack = '' }: Error): boolean {
  const places = stack
    .replace(message, '')
    .split('\n')
    .filter((line) => /:\d+/.test(line));
  return name === 'SyntaxError' && places.every((line) => line.includes('node:'));
}

function pathOf(module: string): string {
  return module.startsWith('file:') ? fileURLToPath(module) : module;
}
