import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

/** The long observation of hidden pages. It takes 16 minutes, so `npm test` does not contain it. */
export default defineConfig({
  ...base,
  test: { ...base.test, include: ['test/e2e/presence/hidden-pages.long.ts'] },
});
