/** Prints the schema as SDL to stdout. The order of the output is stable, so that a diff shows only real changes. */
import { printSchema } from 'graphql';
import { schema } from './schema.ts';

process.stdout.write(`${printSchema(schema)}\n`);
