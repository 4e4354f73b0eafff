import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { isMissing, SKIPS_FILE_VARIABLE, skipSummary } from '../../support/optional-tools.ts';

let directory: string;
let file: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-tools-'));
  file = join(directory, 'skips.jsonl');
  vi.stubEnv(SKIPS_FILE_VARIABLE, file);
  vi.stubEnv('PATH', directory);
  vi.stubEnv('CI', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

it('reports a program that is not in PATH as missing and records the skip', () => {
  expect(isMissing('faketime', 'clocks')).toBe(true);
  expect(readFileSync(file, 'utf8')).toBe('{"tool":"faketime","what":"clocks"}\n');
});

it('reports a program in PATH as present', () => {
  writeFileSync(join(directory, 'faketime'), '', { mode: 0o755 });
  expect(isMissing('faketime', 'clocks')).toBe(false);
});

it('reports a file in PATH that is not executable as missing', () => {
  writeFileSync(join(directory, 'faketime'), '', { mode: 0o644 });
  expect(isMissing('faketime', 'clocks')).toBe(true);
});

it('reports nothing as missing with CI set, so that the tests fail', () => {
  vi.stubEnv('CI', 'true');
  expect(isMissing('faketime', 'clocks')).toBe(false);
});

it('summarizes each missing program once, with what was skipped and the packages to install', () => {
  for (const what of ['queries', 'alerts', 'alerts']) isMissing('promtool', what);
  isMissing('curl', 'the walk through README');
  const summary = skipSummary(file);
  expect(summary).toContain('SKIPPED');
  expect(summary).toContain('  promtool:\n    - alerts\n    - queries\n');
  expect(summary).toContain('apt-get install curl prometheus\n');
});

it('has no summary where nothing was skipped', () => {
  expect(skipSummary(file)).toBeNull();
});
