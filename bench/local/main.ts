/** All measurements of the local primitives, one after the other. */
await import('./uncontended.ts');
await import('./contended.ts');
await import('./queues.ts');
await import('./waiters.ts');
