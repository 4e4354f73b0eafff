/** What the schema is built with. It knows no type: each concept brings its own. */
import SchemaBuilder from '@pothos/core';
import type { Cursor, Millis } from '../core/ids.ts';
import './access-plugin.ts';
import type { ApiContext, OperationRoot } from './context.ts';

interface BuilderTypes {
  Context: ApiContext;
  Root: OperationRoot;
  DefaultFieldNullability: false;
  Scalars: {
    // Branded ids are strings too; graphql hands a number given as an ID over as text.
    ID: { Input: string; Output: string };
    DateTime: { Input: never; Output: Millis };
    Cursor: { Input: Cursor; Output: Cursor };
  };
}

export const builder = new SchemaBuilder<BuilderTypes>({
  plugins: ['access'],
  defaultFieldNullability: false,
});
