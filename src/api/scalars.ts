/** Scalars of our own. */
import { GraphQLError } from 'graphql';
import { formatIsoTimestamp } from '../app/shared/iso-timestamp.ts';
import { badUserInputError } from '../core/errors.ts';
import { parseCursor, type Millis } from '../core/ids.ts';
import { builder } from './builder.ts';

builder.scalarType('DateTime', {
  description: 'A moment: ISO 8601, UTC, to the millisecond, for example `2026-11-21T09:30:00.000Z`.',
  serialize: (moment: Millis) => formatIsoTimestamp(moment),
  parseValue: () => {
    throw new GraphQLError('A DateTime is only ever an answer.');
  },
});

builder.scalarType('Cursor', {
  description:
    'A resume position in the event log. Opaque, and good across restarts. Order is promised per user only: never compare cursors.',
  serialize: (position) => position,
  parseValue: (value) => {
    if (typeof value !== 'string') throw badUserInputError('A cursor is a string.');
    return parseCursor(value);
  },
});
