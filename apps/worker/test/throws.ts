/** A task module that cannot be loaded. For `worker.spec.ts`. */
throw new Error('the loom is broken');
