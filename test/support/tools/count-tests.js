#!/usr/bin/env node
// Prints `N passed, N failed` from a JSON report of vitest. Fails unless tests ran, all of them, and all passed.
import { existsSync, readFileSync } from 'node:fs';

const [path = ''] = process.argv.slice(2);
/** @type {{ passed: number, failed: number, skipped: number, success: boolean }} */
let count = { passed: 0, failed: 0, skipped: 0, success: false };
if (existsSync(path)) {
  const report = JSON.parse(readFileSync(path, 'utf8'));
  // A file that could not be loaded has no tests to fail; it counts as one.
  const unloaded = report.testResults.filter(
    (/** @type {{ status: string, assertionResults: unknown[] }} */ file) =>
      file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  count = {
    passed: report.numPassedTests,
    failed: report.numFailedTests + unloaded,
    skipped: report.numPendingTests + report.numTodoTests,
    success: report.success,
  };
}
if (count.skipped > 0) console.log(`${count.skipped} tests were skipped: here a test that cannot run has failed.`);
console.log(`${count.passed} passed, ${count.failed} failed`);
process.exitCode = count.success && count.passed > 0 && count.failed === 0 && count.skipped === 0 ? 0 : 1;
