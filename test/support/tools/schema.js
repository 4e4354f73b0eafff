#!/usr/bin/env node
// Keeps ./schema.graphql and the code the same thing, and both within the published contract.
//   node test/support/tools/schema.js --write   prints the schema of the built code into ./schema.graphql
//   node test/support/tools/schema.js           fails when the two differ, when the contract is not wholly in the schema, or
//                                       when anything in it has no description
// dist/api/print-schema.js prints the SDL on its standard output.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { problems } from './schema-check.js';

process.chdir(fileURLToPath(new URL('../../..', import.meta.url)));

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(message);
  process.exit(1);
}

function printedFromCode() {
  const run = spawnSync(process.execPath, ['dist/api/print-schema.js'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (run.error) throw run.error;
  if (run.status !== 0) fail(`Printing the schema failed with exit code ${run.status}.`);
  if (run.stdout.trim() === '') fail('The code printed no schema.');
  return `${run.stdout.trim()}\n`;
}

const printed = printedFromCode();
if (process.argv.includes('--write')) {
  writeFileSync('schema.graphql', printed);
  console.log('Wrote schema.graphql.');
} else {
  const found = problems({
    printed,
    committed: readFileSync('schema.graphql', 'utf8'),
    contract: readFileSync('test/support/contract.graphql', 'utf8'),
  });
  if (found.length > 0) fail(`The schema is not as it should be:\n  ${found.join('\n  ')}`);
  console.log('schema.graphql is what the code prints, holds the whole contract, and describes all of it.');
}
