import { defineConfig } from 'vitest/config';

/** Every package's tests. Sources are tested as they are: the condition below resolves our packages to `src`. */
const conditions = ['@heddle/source', 'node', 'import', 'module', 'default'];

/**
 * What the processes of the tests run with. The second option is for V8 13.6 (Node 24), which frees a compiled call from
 * WebAssembly to JavaScript while another thread takes it out of the cache that all threads share: seen to end the
 * process about once in 100 runs of a file whose threads load TypeScript, for what strips the types is WebAssembly. It
 * leaves such calls uncompiled.
 */
const execArgv = ['--conditions=@heddle/source', '--wasm-wrapper-tiering-budget=1000000000'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: 'forks',
    // Tests start threads, processes and Redis servers of their own, and time some of them: more files at once than
    // this starve each other of processor time on a small machine.
    maxWorkers: 2,
    execArgv,
    include: ['{libs,apps}/*/{src,test}/**/*.spec.ts', '{scripts,examples,docs}/**/*.spec.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
