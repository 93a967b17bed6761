import { fileURLToPath } from 'node:url';

/** The path of the module that worker threads run, as source or as built, like this file. */
export function tasksModule(): string {
  const name = import.meta.url.endsWith('.ts') ? './tasks.ts' : './tasks.js';
  return fileURLToPath(new URL(name, import.meta.url));
}
