/** How many there are. */
import { builder } from './builder.ts';
import { PlatformEnum } from './enums.ts';
import { PLATFORMS, type Platform } from '../core/enums.ts';

interface Count {
  readonly platform: Platform;
  readonly online: number;
  readonly pushOnline: number;
}

const PlatformCount = builder.objectRef<Count>('PlatformCount').implement({
  description: 'Live sessions of one platform.',
  fields: (t) => ({
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform.' }),
    online: t.exposeInt('online', { description: 'Sessions that are ONLINE.' }),
    pushOnline: t.exposeInt('pushOnline', { description: 'Sessions that are PUSH_ONLINE.' }),
  }),
});

interface Stats {
  readonly usersOnline: number;
  readonly usersPushOnline: number;
  readonly sessions: readonly Count[];
  readonly sockets: number;
}

const PresenceStats = builder.objectRef<Stats>('PresenceStats').implement({
  description: 'Counts as of now.',
  fields: (t) => ({
    usersOnline: t.exposeInt('usersOnline', { description: 'Users who are ONLINE.' }),
    usersPushOnline: t.exposeInt('usersPushOnline', { description: 'Users who are PUSH_ONLINE.' }),
    sessions: t.expose('sessions', { type: [PlatformCount], description: 'Live sessions; every platform is listed.' }),
    sockets: t.exposeInt('sockets', {
      description: 'Authenticated WebSockets that are open on this server, attached to a session or not.',
    }),
  }),
});

builder.queryField('stats', (t) =>
  t.field({
    type: PresenceStats,
    access: 'backend',
    description: 'How many users, sessions and sockets there are.',
    resolve: (_root, _args, { application: porchlight }) => {
      const { usersOnline, usersPushOnline, sessions } = porchlight.store.getPresenceCounts();
      return {
        usersOnline,
        usersPushOnline,
        sessions: PLATFORMS.map((platform) => ({ platform, ...sessions[platform] })),
        sockets: porchlight.socketRegistry.openSocketCount,
      };
    },
  }),
);
