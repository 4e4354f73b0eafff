/** The event log: `events`, `latestCursor` and `presenceEvents`. */
import type { LoggedEvent } from '../app/ports/presence-store.ts';
import { parseUserId } from '../core/ids.ts';
import { schemaBuilder } from './builder.ts';
import {
  DEFAULT_PAGE_SIZE,
  PAGE_SIZE_DESCRIPTION,
  PageInfoType,
  buildPage,
  checkPageSize,
  type Page,
} from './paging.ts';
import { EventReasonEnum, PlatformEnum, StatusEnum } from './enums.ts';

export const PresenceEventType = schemaBuilder.objectRef<LoggedEvent>('PresenceEvent').implement({
  description: 'One event of one session, with its effect on the user.',
  fields: (t) => ({
    cursor: t.expose('cursor', { type: 'Cursor', description: 'The position after this event in the event log.' }),
    changeId: t.exposeID('changeId', {
      description:
        'Identifies the atomic change. A login and the ends of the sessions that it kicked have the same id.',
    }),
    userId: t.exposeID('userId', { description: 'The user.' }),
    sessionId: t.exposeID('sessionId', { description: 'The session that the event is about.' }),
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform of that session.' }),
    deviceId: t.exposeID('deviceId', { description: 'The device of that session.' }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason of the event.' }),
    sessionStatus: t.expose('sessionStatus', {
      type: StatusEnum,
      description: 'The status of the session after the event. OFFLINE if the session ended.',
    }),
    previousStatus: t.expose('previousStatus', {
      type: StatusEnum,
      description: 'The status of the user before the event.',
    }),
    status: t.expose('status', {
      type: StatusEnum,
      description: 'The status of the user after the event. It is unchanged if another session keeps it.',
    }),
    version: t.exposeInt('version', {
      description:
        'The version of the user after the event. It is one higher if the status or the custom text changed.',
    }),
    kickedBy: t.expose('kickedBy', {
      type: PlatformEnum,
      nullable: true,
      description: 'For KICKED, the platform whose login ended the session. Null otherwise.',
    }),
    customStatus: t.exposeString('customStatus', {
      nullable: true,
      description: 'The custom text of the user after the event, or null.',
    }),
    ipAddress: t.exposeString('ipAddress', {
      nullable: true,
      description: 'The network address of the last activity of the session, or null.',
    }),
    occurredAt: t.expose('occurredAt', { type: 'DateTime', description: 'When the event happened.' }),
  }),
});

const PresenceEventConnection = schemaBuilder.objectRef<Page<LoggedEvent>>('PresenceEventConnection').implement({
  description: 'A page of the event log.',
  fields: (t) => ({
    nodes: t.expose('nodes', { type: [PresenceEventType], description: 'The events, in the order of the event log.' }),
    pageInfo: t.expose('pageInfo', { type: PageInfoType, description: 'The end of the page.' }),
  }),
});

schemaBuilder.queryFields((t) => ({
  events: t.field({
    type: PresenceEventConnection,
    access: 'backend',
    description:
      'Reads the event log of all users or of one user, as far back as events are kept. The `endCursor` of an empty page is `after`. Requires an API key.',
    args: {
      first: t.arg.int({ defaultValue: DEFAULT_PAGE_SIZE, description: PAGE_SIZE_DESCRIPTION }),
      after: t.arg({
        type: 'Cursor',
        description:
          'Start after this position. Omitted: start with the oldest event. CURSOR_EXPIRED if events after it are no longer kept.',
      }),
      userId: t.arg.id({ description: 'Only the events of this user.' }),
    },
    resolve: async (_root, args, { application }) => {
      const after = args.after ?? null;
      const page = await application.store.eventLog.readEvents({
        after,
        limit: checkPageSize(args.first),
        userId: args.userId == null ? undefined : parseUserId(args.userId),
      });
      return buildPage(page.events, page.hasMore, after, (event) => event.cursor);
    },
  }),
  latestCursor: t.field({
    type: 'Cursor',
    access: 'backend',
    description:
      'The current end of the event log. To miss no event, read it first, then read the current state, and then subscribe to `presenceEvents(after:)`. Requires an API key.',
    resolve: (_root, _args, { application }) => application.store.eventLog.getLatestCursor(),
  }),
}));

schemaBuilder.subscriptionField('presenceEvents', (t) =>
  t.field({
    type: [PresenceEventType],
    access: 'backend',
    description:
      'Streams all events of all users in lists, without gaps and duplicates. A list never splits a change. A client that reads too slowly is closed with 4411 and can resume with its last cursor. Requires an API key.',
    args: {
      after: t.arg({
        type: 'Cursor',
        description:
          'Start after this position. Omitted: start with the next event. CURSOR_EXPIRED if events after it are no longer kept.',
      }),
    },
    subscribe: (_root, { after }, { application, socket }) =>
      application.eventFeed.subscribe(after ?? null, () => socket?.closeSlowConsumer()),
    resolve: (events) => events,
  }),
);
