import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Vite would load graphql's ES modules where Node loads its CommonJS: two copies, which reject each other's types.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    // Processes, not threads: a native module or a server that crashes ends only its own test file.
    pool: 'forks',
    // End-to-end tests start servers and browsers of their own. More workers than cores would only delay them.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/core/**/*.ts', 'src/app/**/*.ts'],
      reporter: ['text', 'json-summary', 'html'],
      thresholds: { statements: 95, branches: 95, functions: 95, lines: 95 },
    },
  },
});
