/** Submits one task and says so when it is done; nothing else keeps this process alive, and nothing closes the pool. */
import { ThreadPoolExecutor } from '@heddle/pool';
import type * as tasks from './tasks.ts';

process.disconnect?.();
const pool = new ThreadPoolExecutor<typeof tasks>(new URL('./tasks.ts', import.meta.url), { maxWorkers: 2 });
void pool.submit('slowEcho', 5).then((value) => console.log('ended', value));
