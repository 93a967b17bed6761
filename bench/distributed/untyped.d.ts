/** What is used here of packages that come without types. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';
  export default class Redlock {
    constructor(clients: Redis[], options: { retryCount: number; retryDelay: number; retryJitter: number });
    lock(name: string, ttl: number): Promise<{ unlock(): Promise<unknown> }>;
  }
}

declare module 'ioredfour' {
  import type { Redis } from 'ioredis';
  export default class Lock {
    constructor(options: { redis: Redis; namespace: string });
    waitAcquireLock(id: string, ttl: number, waitTtl: number): Promise<{ success: boolean }>;
    releaseLock(lock: { success: boolean }): Promise<unknown>;
  }
}
