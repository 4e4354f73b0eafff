#!/usr/bin/env node
// Checks which layer of src/ imports which (rules: .dependency-cruiser.cjs). A checker that reads nothing finds nothing,
// so this one also fails when it has not read every source file, or when the folders are not those that the rules name.
import { cruise } from 'dependency-cruiser';
import extractConfig from 'dependency-cruiser/config-utl/extract-depcruise-config';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('../../..', import.meta.url)));

/** A folder with more files is hard to survey. `api/` has one file per concept and may grow. */
const MAX_FILES_IN_FOLDER = 16;

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message);
  process.exit(1);
}

/** @param {string} path */
const foldersIn = (path) =>
  readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();

/**
 * @param {string} path
 * @param {string[]} named
 */
function checkFolders(path, named) {
  const present = foldersIn(path);
  const missing = named.filter((name) => !present.includes(name));
  const unknown = present.filter((name) => !named.includes(name));
  if (missing.length > 0) fail(`The layering rules name folders that ${path}/ does not have: ${missing.join(', ')}.`);
  if (unknown.length > 0) fail(`${path}/ has folders that the layering rules do not name: ${unknown.join(', ')}.`);
}

if (!existsSync('src')) fail('The layering check read no files: there is no src/.');

const { options, forbidden = [] } = await extractConfig('./.dependency-cruiser.cjs');
const { folders } = /** @type {{ folders: Record<string, string[]> }} */ (
  createRequire(import.meta.url)('../../../.dependency-cruiser.cjs')
);
if (forbidden.length === 0) fail('The layering check read no rules.');

checkFolders('src', Object.keys(folders));
for (const [folder, subfolders] of Object.entries(folders))
  if (subfolders.length > 0) checkFolders(`src/${folder}`, subfolders);

const tsConfig = extractTSConfig('tsconfig.json');
const { output } = await cruise(['src'], { ...options, ruleSet: { forbidden }, validate: true }, {}, { tsConfig });
if (typeof output === 'string') fail('The layering check received a report instead of a result.');

const onDisk = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => `src/${path}`);
const read = new Set(output.modules.map((module) => module.source));
const unread = onDisk.filter((path) => !read.has(path));
if (onDisk.length === 0) fail('The layering check read no files: there is nothing in src/.');
if (unread.length > 0) fail(`The layering check did not read:\n  ${unread.join('\n  ')}`);

/** @type {Map<string, number>} */
const filesIn = new Map();
for (const path of onDisk) {
  const folder = path.slice(0, path.lastIndexOf('/'));
  filesIn.set(folder, (filesIn.get(folder) ?? 0) + 1);
}
for (const [folder, count] of filesIn)
  if (count > MAX_FILES_IN_FOLDER && folder !== 'src/api')
    fail(`${folder}/ has ${count} files. At most ${MAX_FILES_IN_FOLDER} are allowed: divide it.`);

const { violations, totalDependenciesCruised } = output.summary;
if (onDisk.length > 1 && totalDependenciesCruised === 0) fail('The layering check saw no import in any file.');
for (const { rule, from, to, cycle } of violations) {
  const why = forbidden.find(({ name }) => name === rule.name)?.comment;
  const path = cycle ? cycle.map((step) => step.name).join(' → ') : to;
  console.error(`${rule.name}: ${from} → ${path}\n    ${why}`);
}
if (violations.length > 0) fail(`${violations.length} forbidden imports in ${onDisk.length} files.`);
console.log(`Layers hold: ${onDisk.length} files, ${totalDependenciesCruised} imports.`);
