/** `stats`: the numbers of users, sessions and sockets. */
import { schemaBuilder } from './builder.ts';
import { PlatformEnum } from './enums.ts';
import { PLATFORMS, type Platform } from '../core/enums.ts';

interface PlatformSessionCounts {
  readonly platform: Platform;
  readonly online: number;
  readonly pushOnline: number;
}

const PlatformCount = schemaBuilder.objectRef<PlatformSessionCounts>('PlatformCount').implement({
  description: 'The numbers of live sessions on one platform.',
  fields: (t) => ({
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform.' }),
    online: t.exposeInt('online', { description: 'The number of ONLINE sessions.' }),
    pushOnline: t.exposeInt('pushOnline', { description: 'The number of PUSH_ONLINE sessions.' }),
  }),
});

interface PresenceStatsView {
  readonly usersOnline: number;
  readonly usersPushOnline: number;
  readonly sessions: readonly PlatformSessionCounts[];
  readonly sockets: number;
}

const PresenceStats = schemaBuilder.objectRef<PresenceStatsView>('PresenceStats').implement({
  description: 'The current numbers of users, sessions and WebSockets.',
  fields: (t) => ({
    usersOnline: t.exposeInt('usersOnline', { description: 'The number of ONLINE users.' }),
    usersPushOnline: t.exposeInt('usersPushOnline', { description: 'The number of PUSH_ONLINE users.' }),
    sessions: t.expose('sessions', {
      type: [PlatformCount],
      description: 'The live sessions by platform. Every platform is listed.',
    }),
    sockets: t.exposeInt('sockets', {
      description: 'The number of open, authenticated WebSockets of this server, with or without a session.',
    }),
  }),
});

schemaBuilder.queryField('stats', (t) =>
  t.field({
    type: PresenceStats,
    access: 'backend',
    description: 'The current numbers of users, sessions and WebSockets. Requires an API key.',
    resolve: (_root, _args, { application }) => {
      const { usersOnline, usersPushOnline, sessions } = application.store.getPresenceCounts();
      return {
        usersOnline,
        usersPushOnline,
        sessions: PLATFORMS.map((platform) => ({ platform, ...sessions[platform] })),
        sockets: application.socketRegistry.openSocketCount,
      };
    },
  }),
);
