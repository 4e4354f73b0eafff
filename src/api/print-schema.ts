/** Prints the SDL, sorted, so that what is committed differs only where the schema does. */
import { printSchema } from 'graphql';
import { schema } from './schema.ts';

process.stdout.write(`${printSchema(schema)}\n`);
