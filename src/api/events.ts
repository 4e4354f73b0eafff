/** The event log: page by page, or as it grows. */
import type { LoggedEvent } from '../app/ports/presence-store.ts';
import { parseUserId as checkedUserId } from '../core/ids.ts';
import { builder } from './builder.ts';
import { DEFAULT_PAGE, FIRST_DESCRIPTION, PageInfo, buildPage, checkPageSize, type Page } from './paging.ts';
import { EventReasonEnum, PlatformEnum, StatusEnum } from './enums.ts';

export const PresenceEvent = builder.objectRef<LoggedEvent>('PresenceEvent').implement({
  description: 'One thing that happened to one session, and what it did to its user.',
  fields: (t) => ({
    cursor: t.expose('cursor', { type: 'Cursor', description: 'The position right after this event.' }),
    changeId: t.exposeID('changeId', {
      description: 'The same for all events of one change (a login and the sessions it ended).',
    }),
    userId: t.exposeID('userId', { description: 'The user.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session it happened to.' }),
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform of that session.' }),
    deviceId: t.exposeID('deviceId', { description: 'The device of that session.' }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'What happened.' }),
    sessionStatus: t.expose('sessionStatus', {
      type: StatusEnum,
      description: 'The session’s status after it; OFFLINE where it ended.',
    }),
    previousStatus: t.expose('previousStatus', { type: StatusEnum, description: 'The user’s status before it.' }),
    status: t.expose('status', {
      type: StatusEnum,
      description: 'The user’s status after it; the same as before where other sessions keep it.',
    }),
    version: t.exposeInt('version', {
      description: 'The user’s version after it: one higher where the status or the custom text changed.',
    }),
    kickedBy: t.expose('kickedBy', {
      type: PlatformEnum,
      nullable: true,
      description: 'For KICKED: the platform whose login did it.',
    }),
    customStatus: t.exposeString('customStatus', { nullable: true, description: 'The user’s custom text after it.' }),
    ipAddress: t.exposeString('ipAddress', {
      nullable: true,
      description: 'The network address the session was last heard from.',
    }),
    occurredAt: t.expose('occurredAt', { type: 'DateTime', description: 'When it happened.' }),
  }),
});

const PresenceEventConnection = builder.objectRef<Page<LoggedEvent>>('PresenceEventConnection').implement({
  description: 'A page of the event log.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [PresenceEvent], description: 'The events, in the order of the log.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfo, description: 'Where the page ends.' }),
  }),
});

builder.queryFields((t) => ({
  events: t.field({
    type: PresenceEventConnection,
    access: 'backend',
    description:
      'The event log, of everybody or of one user, as far back as events are kept. `endCursor` of an empty page is `after`.',
    args: {
      first: t.arg.int({ defaultValue: DEFAULT_PAGE, description: FIRST_DESCRIPTION }),
      after: t.arg({
        type: 'Cursor',
        description:
          'Start right after this position; without it, with the oldest event kept. CURSOR_EXPIRED when events after it are kept no more.',
      }),
      userId: t.arg.id({ description: 'Only the events of this user.' }),
    },
    resolve: async (_root, args, { application: porchlight }) => {
      const after = args.after ?? null;
      const page = await porchlight.store.eventLog.readEvents({
        after,
        limit: checkPageSize(args.first),
        userId: args.userId == null ? undefined : checkedUserId(args.userId),
      });
      return buildPage(page.events, page.hasMore, after, (event) => event.cursor);
    },
  }),
  latestCursor: t.field({
    type: 'Cursor',
    access: 'backend',
    description:
      'The end of the event log now. Take it, then look at the present, then follow `presenceEvents(after:)` from here: nothing is missed.',
    resolve: (_root, _args, { application: porchlight }) => porchlight.store.eventLog.getLatestCursor(),
  }),
}));

builder.subscriptionField('presenceEvents', (t) =>
  t.field({
    type: [PresenceEvent],
    access: 'backend',
    description:
      'Every event of every user, in lists that never split a change, without gap or repeat. Whoever reads too slowly is disconnected (4411) and resumes with the last cursor.',
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'Start right after this position, from the log; without it, with what happens from now on. CURSOR_EXPIRED when events after it are kept no more.',
      }),
    },
    subscribe: (_root, { after }, { application: porchlight, socket: link }) =>
      porchlight.eventFeed.subscribe(after ?? null, () => link?.closeSlowConsumer()),
    resolve: (events) => events,
  }),
);
