/** A task module's tasks: its function exports, by name. */
import { HeddleError } from '@heddle/primitives';

export type Task = (...args: unknown[]) => unknown;

/**
 * Imports the module, once per thread. Of a CommonJS module, whose named exports Node finds only where they are
 * written plainly, those of `module.exports` count too.
 */
export async function importTasks(module: string): Promise<ReadonlyMap<string, Task>> {
  const namespace: Record<string, unknown> = await import(module);
  const tasks = new Map<string, Task>();
  const add = (name: string, value: unknown) => {
    if (typeof value === 'function' && name !== 'module.exports' && !tasks.has(name))
      tasks.set(name, value as Task);
  };
  for (const name of Object.keys(namespace)) add(name, namespace[name]);
  const whole = namespace['module.exports'] ?? namespace.default;
  if (whole !== null && typeof whole === 'object' && Object.hasOwn(namespace, 'module.exports')) {
    for (const [name, value] of Object.entries(whole)) add(name, value);
  }
  return tasks;
}

/** Calls the task of that name, which is to run before all others. @throws HeddleError where there is none */
export async function initialise(
  tasks: ReadonlyMap<string, Task>,
  name: string,
  args: readonly unknown[],
): Promise<void> {
  const initializer = tasks.get(name);
  if (initializer === undefined) {
    throw new HeddleError(
      `the task module exports no function ${JSON.stringify(name)} to be the initializer`,
    );
  }
  await initializer(...args);
}
