import { defineConfig } from 'vitest/config';

/** Mutants of core must be found by the tests of core. These run on the sources and need no build, server or thread. */
export default defineConfig({
  test: { include: ['test/unit/core/**/*.test.ts'], testTimeout: 30_000 },
});
