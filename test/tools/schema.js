#!/usr/bin/env node
// Keeps ./schema.graphql and the code the same thing, and both within the published contract.
//   node test/tools/schema.js --write   prints the schema of the built code into ./schema.graphql
//   node test/tools/schema.js           fails when the two differ, or when the contract is not wholly in the schema
// dist/api/print-schema.js prints the SDL on its standard output.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  astFromValue,
  buildSchema,
  findBreakingChanges,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  isSpecifiedScalarType,
  print,
} from 'graphql';

process.chdir(fileURLToPath(new URL('../..', import.meta.url)));

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

/** @param {import('graphql').GraphQLArgument | import('graphql').GraphQLInputField} value */
function signature(value) {
  const ast = value.defaultValue === undefined ? undefined : astFromValue(value.defaultValue, value.type);
  return `${value.type}${ast ? ` = ${print(ast)}` : ''}`;
}

/**
 * Where `schema` does not say exactly what `contract` says. Stricter than "not breaking": a field that turned from
 * nullable to non-null breaks no client, and is still not the contract. What the schema adds must not be required.
 *
 * @param {import('graphql').GraphQLSchema} contract
 * @param {import('graphql').GraphQLSchema} schema
 */
function departures(contract, schema) {
  /** @type {string[]} */
  const found = findBreakingChanges(contract, schema).map((change) => change.description);
  /** @param {string} where @param {string} promised @param {string} is */
  const same = (where, promised, is) => {
    if (promised !== is) found.push(`${where} is ${is}; the contract says ${promised}.`);
  };
  let compared = 0;

  for (const promised of Object.values(contract.getTypeMap())) {
    if (isIntrospectionType(promised) || isSpecifiedScalarType(promised)) continue;
    const actual = schema.getType(promised.name);
    compared += 1;
    if (!actual) continue; // a breaking change, reported above

    if ((isObjectType(promised) && isObjectType(actual)) || (isInterfaceType(promised) && isInterfaceType(actual))) {
      for (const field of Object.values(promised.getFields())) {
        const is = actual.getFields()[field.name];
        if (!is) continue;
        const where = `${promised.name}.${field.name}`;
        same(where, String(field.type), String(is.type));
        for (const argument of field.args) {
          const given = is.args.find(({ name }) => name === argument.name);
          if (given) same(`${where}(${argument.name}:)`, signature(argument), signature(given));
        }
        for (const added of is.args) {
          if (!field.args.some(({ name }) => name === added.name) && isRequiredArgument(added)) {
            found.push(`${where}(${added.name}:) is required and not in the contract.`);
          }
        }
      }
    } else if (isInputObjectType(promised) && isInputObjectType(actual)) {
      for (const field of Object.values(promised.getFields())) {
        const is = actual.getFields()[field.name];
        if (is) same(`${promised.name}.${field.name}`, signature(field), signature(is));
      }
      for (const added of Object.values(actual.getFields())) {
        if (!promised.getFields()[added.name] && isRequiredInputField(added)) {
          found.push(`${promised.name}.${added.name} is required and not in the contract.`);
        }
      }
    }
  }
  if (compared === 0) fail('The contract has no types: nothing was compared.');
  return [...new Set(found)];
}

const sdl = printedFromCode();
if (process.argv.includes('--write')) {
  writeFileSync('schema.graphql', sdl);
  console.log('Wrote schema.graphql.');
} else {
  if (readFileSync('schema.graphql', 'utf8') !== sdl) {
    fail('schema.graphql is not what the code prints. Run `npm run schema:print` and commit the result.');
  }
  const contract = buildSchema(readFileSync('test/contract.graphql', 'utf8'));
  const found = departures(contract, buildSchema(sdl));
  if (found.length > 0) fail(`The schema departs from the contract:\n  ${found.join('\n  ')}`);
  console.log('schema.graphql is what the code prints, and holds the whole contract.');
}
