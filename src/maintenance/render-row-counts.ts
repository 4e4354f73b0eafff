import type { RowCounts } from '../storage/sqlite/offline/row-counts.ts';

/** The lines about users, sessions and events in the output of `backup` and `doctor`. */
export const renderRowCounts = ({ users, sessions, events, cursor }: RowCounts): readonly string[] => [
  `  users:    ${users.ONLINE} ONLINE, ${users.PUSH_ONLINE} PUSH_ONLINE, ${users.OFFLINE} OFFLINE`,
  `  sessions: ${sessions.live} live, ${sessions.ended} ended`,
  `  events:   ${events}, through ${cursor ?? 'an unknown cursor'}`,
];
