import { defineConfig } from 'vitest/config';

/** A mutant of core is for the tests of core to find. They run on the sources: no build, no server, no thread of their own. */
export default defineConfig({
  test: { include: ['test/unit/core/**/*.test.ts'], testTimeout: 30_000 },
});
