/** The schema builder with the three root types. Each concept adds its own types and root fields. */
import SchemaBuilder from '@pothos/core';
import type { Cursor, Millis } from '../core/ids.ts';
import './access-plugin.ts';
import type { ApiContext, OperationRoot } from './context.ts';

interface BuilderTypes {
  Context: ApiContext;
  Root: OperationRoot;
  DefaultFieldNullability: false;
  Scalars: {
    // Branded ids are strings too. The ID scalar of graphql converts numbers to strings.
    ID: { Input: string; Output: string };
    DateTime: { Input: never; Output: Millis };
    Cursor: { Input: Cursor; Output: Cursor };
  };
}

export const schemaBuilder = new SchemaBuilder<BuilderTypes>({
  plugins: ['access'],
  defaultFieldNullability: false,
});

schemaBuilder.queryType({ description: 'Reads the current state. Every field is read-only.' });
schemaBuilder.mutationType({ description: 'Changes the state. Every change is durable before the response is sent.' });
schemaBuilder.subscriptionType({ description: 'Streams changes as they happen.' });
