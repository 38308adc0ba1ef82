import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'packages/*/src/**/*.test.ts',
      'fakes/**/*.test.ts',
      'tools/**/*.test.ts',
      'e2e/**/*.test.ts',
      'bench/**/*.test.ts',
    ],
    // By default one core is left free; the tests mostly wait for the programs that they start.
    maxWorkers: availableParallelism(),
    // No module of ours keeps state, so files may share what a worker has loaded: a third of a second of each of them.
    isolate: false,
    // Of threads and programs that tests start: each would compile the same sources anew.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('.setup/compiled', import.meta.url)) },
    setupFiles: ['tools/test/patience.ts'],
    expect: { poll: { timeout: 15_000 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
