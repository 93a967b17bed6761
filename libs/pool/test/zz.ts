import { startRedis } from '@heddle/embedded-redis';
import { DistributedExecutor, WorkerHost } from '@heddle/pool';
import { connect } from '@heddle/primitives/distributed';

const server = await startRedis({ sources: ['process'] });
const session = await connect(server.url);
const host = new WorkerHost('w', {
  session,
  tasks: new URL('./tasks.ts', import.meta.url),
  threads: 2,
  stallTimeout: 600,
});
await host.start();
const pool = new DistributedExecutor<typeof import('./tasks.ts')>('w', { session });
for (const delay of [5, 10, 50, 200, 10]) {
  const t = performance.now();
  await pool.with({ delay }).submit('noop');
  console.log(delay, performance.now() - t);
}
for (const delay of [10, 10, 10]) {
  await new Promise((r) => setTimeout(r, 300));
  const t = performance.now();
  await pool.with({ delay }).submit('noop');
  console.log('idle before', delay, performance.now() - t);
}
await pool.shutdown();
await host.close();
await session.close();
await server[Symbol.asyncDispose]();
