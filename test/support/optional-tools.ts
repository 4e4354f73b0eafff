/**
 * Programs that some tests need and a developer's machine may lack. Where one is missing its tests are skipped, and
 * `npm test` ends with a summary of what was skipped and how to install it. With `CI` set nothing is skipped, so that
 * the tests fail.
 */
import { accessSync, appendFileSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The Debian package of each program. */
const PACKAGES = {
  caddy: 'caddy',
  chromium: 'chromium',
  curl: 'curl',
  faketime: 'faketime',
  haproxy: 'haproxy',
  nginx: 'nginx',
  openssl: 'openssl',
  promtool: 'prometheus',
  python3: 'python3',
} as const;

export type OptionalTool = keyof typeof PACKAGES;

/** Names the file that collects skips: a line of JSON each. Set by the global setup for every test process. */
export const SKIPS_FILE_VARIABLE = 'PORCHLIGHT_TEST_SKIPS';

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** Debian installs servers here, which is not in the PATH of a normal user. */
const SERVER_DIRECTORY = '/usr/sbin';

/** The PATH with which optional tools are found and started. */
export const toolPath = (): string => [process.env.PATH ?? '', SERVER_DIRECTORY].join(delimiter);

const isInstalled = (tool: OptionalTool): boolean =>
  toolPath()
    .split(delimiter)
    .some((directory) => isExecutable(join(directory, tool)));

/**
 * For `describe.skipIf` and `it.skipIf`. Records the skip for the summary.
 *
 * @param what the tests need the tool for; shown in the summary.
 * @returns false where the tool is installed, and always with `CI` set.
 */
export const isMissing = (tool: OptionalTool, what: string): boolean => {
  if (process.env.CI || isInstalled(tool)) return false;
  const file = process.env[SKIPS_FILE_VARIABLE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ tool, what })}\n`);
  return true;
};

/** @returns the text that ends a test run in which tests were skipped; null where none were. */
export const skipSummary = (file: string): string | null => {
  if (!existsSync(file)) return null;
  const skips = new Map<string, Set<string>>();
  for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
    const { tool, what } = JSON.parse(line) as { tool: OptionalTool; what: string };
    skips.set(tool, (skips.get(tool) ?? new Set()).add(what));
  }
  if (skips.size === 0) return null;
  const rows = [...skips]
    .sort()
    .flatMap(([tool, whats]) => [`  ${tool}:`, ...[...whats].sort().map((what) => `    - ${what}`)]);
  const packages = [...new Set([...skips.keys()].map((tool) => PACKAGES[tool as OptionalTool]))].sort();
  return [
    '',
    '='.repeat(100),
    'SKIPPED: this machine lacks programs that some tests need. These were NOT tested:',
    ...rows,
    `To run them on Debian: apt-get install ${packages.join(' ')}`,
    '='.repeat(100),
    '',
  ].join('\n');
};
