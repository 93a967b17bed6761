/** The process that runs a distributed way's jobs: way, URL of Redis, threads. Answers its parent with what it uses. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { distributedWays } from './distributed-ways.ts';
import { processorTime } from './local-contender.ts';

// Threads inherit flags, and BullMQ's refuse this one.
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

const [name = '', url = '', threads = '2'] = process.argv.slice(2);
await distributedWays[name]?.host(url, Number(threads));
process.on('message', () => {
  collect();
  process.send?.({ ...process.memoryUsage(), processor: processorTime() });
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
