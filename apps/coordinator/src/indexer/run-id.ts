import { ContextVar } from '@heddle/pool';

/** The id of the run that code works for: set around the whole run, and carried into every task and log line of it. */
export const runId = new ContextVar<string>('run');
