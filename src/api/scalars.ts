/** The custom scalars. */
import { GraphQLError } from 'graphql';
import { formatIsoTimestamp } from '../app/shared/iso-timestamp.ts';
import { badUserInputError } from '../core/errors.ts';
import { parseCursor, type Millis } from '../core/ids.ts';
import { schemaBuilder } from './builder.ts';

schemaBuilder.scalarType('DateTime', {
  description: 'A time in UTC, as ISO 8601 with milliseconds, for example `2026-11-21T09:30:00.000Z`. Output only.',
  serialize: (timestamp: Millis) => formatIsoTimestamp(timestamp),
  parseValue: () => {
    throw new GraphQLError('DateTime is an output type. It cannot be used as input.');
  },
});

schemaBuilder.scalarType('Cursor', {
  description:
    'A position in the event log. It is opaque and stays valid across restarts. Only the order of the events of one user is defined, so cursors must not be compared.',
  serialize: (position) => position,
  parseValue: (value) => {
    if (typeof value !== 'string') throw badUserInputError('A Cursor must be a string.');
    return parseCursor(value);
  },
});
