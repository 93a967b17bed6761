/** Moves slots of a Cluster from one master to another while they are in use. */
import type { RedisCluster, RedisProcess } from '@heddle/embedded-redis';
import { Redis } from 'ioredis';

/** Keys that go in one step: few, so that the slot stands half moved in between. */
const STEP = 5;

export class Slots implements Disposable {
  readonly #cluster: RedisCluster;
  readonly #clients: ReadonlyMap<RedisProcess, Redis>;

  constructor(cluster: RedisCluster) {
    this.#cluster = cluster;
    this.#clients = new Map(cluster.masters.map((node) => [node, new Redis(node.url)]));
    for (const client of this.#clients.values()) client.on('error', () => {});
  }

  /** Everybody's keys. */
  async keys(): Promise<string[]> {
    const all = await Promise.all([...this.#clients.values()].map((client) => client.keys('*')));
    return all.flat();
  }

  /** Who has the slot of a key. */
  async homeOf(key: string): Promise<RedisProcess> {
    const slot = await this.#slotOf(key);
    for (const [node, client] of this.#clients) {
      const [own = ''] = String(await client.cluster('NODES'))
        .split('\n')
        .filter((line) => line.includes('myself'));
      const has = own
        .split(' ')
        .slice(8)
        .filter((range) => !range.startsWith('['))
        .some((range) => {
          const [first = 0, last = first] = range.split('-').map(Number);
          return first <= slot && slot <= last;
        });
      if (has) return node;
    }
    throw new Error(`nobody has slot ${slot}`);
  }

  /**
   * Moves the slot of a key to the next master, key by key, as `redis-cli --cluster reshard` does.
   * @param begun called once the slot is said to move, and none of its keys has
   */
  async move(key: string, begun: () => Promise<unknown> = async () => {}): Promise<void> {
    const slot = await this.#slotOf(key);
    const from = await this.homeOf(key);
    const { masters } = this.#cluster;
    const to = masters[(masters.indexOf(from) + 1) % masters.length] as RedisProcess;
    const [source, target] = [this.#client(from), this.#client(to)];
    const [sourceId, targetId] = [await source.cluster('MYID'), await target.cluster('MYID')];
    await target.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(sourceId));
    await source.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(targetId));
    await begun();
    const secret = to.password === undefined ? [] : ['AUTH', to.password];
    for (;;) {
      const keys = (await source.call('CLUSTER', 'GETKEYSINSLOT', slot, STEP)) as string[];
      if (keys.length === 0) break;
      const place = [String(to.host), String(to.port), '', '0', '5000'];
      await source.call('MIGRATE', ...place, ...secret, 'KEYS', ...keys);
    }
    for (const client of [target, source, ...this.#clients.values()])
      await client.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(targetId));
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.disconnect();
  }

  async #slotOf(key: string): Promise<number> {
    return Number(await this.#client(this.#cluster.masters[0] as RedisProcess).cluster('KEYSLOT', key));
  }

  #client(node: RedisProcess): Redis {
    return this.#clients.get(node) as Redis;
  }
}
