/** A WorkerHost in a process of its own, for the specs: `host-process.ts <redis url> <namespace> <queue> <options>`. */
import { WorkerHost } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';

const [url = '', namespace = '', queue = '', options = '{}'] = process.argv.slice(2);
const {
  module = new URL('./tasks.ts', import.meta.url).href,
  quiet = false,
  ...others
} = JSON.parse(options);
const session = await connect(url, { namespace, ttl: 1000 });
const host = new WorkerHost(queue, {
  session,
  tasks: new URL(module),
  threads: 2,
  stallTimeout: 600,
  ...(quiet ? { onError: () => {} } : {}),
  ...others,
});
await host.start();
process.once('SIGTERM', async () => {
  await host.close({ gracePeriod: 200 });
  await session.close();
  process.disconnect?.();
});
process.send?.('ready');
