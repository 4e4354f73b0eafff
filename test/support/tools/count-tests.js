#!/usr/bin/env node
// Prints `N passed, N failed`, summed over JSON reports of vitest.
// Exits with 0 only if every report exists, each ran tests, none was skipped and all passed.
import { existsSync, readFileSync } from 'node:fs';

const paths = process.argv.slice(2);
let passed = 0;
let failed = 0;
let isComplete = paths.length > 0;

for (const path of paths) {
  if (!existsSync(path)) {
    console.log(`${path} does not exist: its tests did not run.`);
    isComplete = false;
    continue;
  }
  const report = JSON.parse(readFileSync(path, 'utf8'));
  // A file that could not be loaded has no tests that could fail. It counts as one failed test.
  const unloaded = report.testResults.filter(
    (/** @type {{ status: string, assertionResults: unknown[] }} */ file) =>
      file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  const skipped = report.numPendingTests + report.numTodoTests;
  if (skipped > 0) console.log(`${path}: ${skipped} tests were skipped. In CI a test that cannot run has failed.`);
  passed += report.numPassedTests;
  failed += report.numFailedTests + unloaded;
  if (!report.success || report.numPassedTests === 0 || skipped > 0) isComplete = false;
}

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = isComplete && failed === 0 ? 0 : 1;
