/**
 * A process that owns servers, for tests of what becomes of them when it ends. It tells its parent of them,
 * and then lives until it is killed (`stay`) or has nothing left to do (`leave`).
 */
import { Redis } from 'ioredis';
import { type RedisProcess, startRedis } from '../src/index.ts';

const servers: RedisProcess[] = [];
for (const state of ['running', 'paused', 'restarted'] as const) {
  const server = await startRedis({ sources: ['process'] });
  if (state === 'paused') server.pause();
  if (state === 'restarted') await server.restart();
  servers.push(server);
}

if (process.argv[2] === 'stay') {
  process.on('message', () => {});
  process.on('SIGINT', async () => {
    const client = new Redis(String(servers[0]?.url));
    process.send?.(await client.ping());
    client.disconnect();
  });
}
process.send?.(servers.map(({ dir, port }) => ({ dir, port })));
if (process.argv[2] === 'leave') process.disconnect?.();
