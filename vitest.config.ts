import { defineConfig } from 'vitest/config';

/** Every package's tests. Sources are tested as they are: the condition below resolves our packages to `src`. */
const conditions = ['@heddle/source', 'node', 'import', 'module', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    pool: 'forks',
    // Tests start threads, processes and Redis servers of their own, and time some of them: more files at once than
    // this starve each other of processor time on a small machine.
    maxWorkers: 2,
    execArgv: ['--conditions=@heddle/source'],
    include: ['{libs,apps}/*/{src,test}/**/*.spec.ts', '{scripts,examples,docs}/**/*.spec.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
});
