#!/usr/bin/env node
// Checks which room of src/ imports which. A lint that reads nothing finds nothing, so this one counts: every source
// file on the disk must have been read, and there must be some.
import { cruise } from 'dependency-cruiser';
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('../../..', import.meta.url)));

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message);
  process.exit(1);
}

if (!existsSync('src')) fail('The layering lint read no files: there is no src/.');

const { options, forbidden = [] } = await extractConfig('./.dependency-cruiser.cjs');
const tsConfig = extractTSConfig('tsconfig.json');
const { output } = await cruise(['src'], { ...options, ruleSet: { forbidden }, validate: true }, {}, { tsConfig });
if (forbidden.length === 0) fail('The layering lint read no rules.');
if (typeof output === 'string') fail('The layering lint got a report instead of a result.');

const onDisk = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'));
const read = new Set(output.modules.map((module) => module.source));
const unread = onDisk.map((path) => `src/${path}`).filter((path) => !read.has(path));
if (onDisk.length === 0) fail('The layering lint read no files: there is nothing in src/.');
if (unread.length > 0) fail(`The layering lint did not read:\n  ${unread.join('\n  ')}`);

const { violations, totalDependenciesCruised } = output.summary;
if (onDisk.length > 1 && totalDependenciesCruised === 0) fail('The layering lint saw no import in any file.');
for (const { rule, from, to, cycle } of violations) {
  const why = forbidden.find(({ name }) => name === rule.name)?.comment;
  const path = cycle ? cycle.map((step) => step.name).join(' → ') : to;
  console.error(`${rule.name}: ${from} → ${path}\n    ${why}`);
}
if (violations.length > 0) fail(`${violations.length} forbidden imports in ${onDisk.length} files.`);
console.log(`Layers hold: ${onDisk.length} files, ${totalDependenciesCruised} imports.`);
