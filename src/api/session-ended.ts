/** Being told of the end of one's own session. */
import { requireSession } from '../app/auth/caller.ts';
import type { SessionEnd } from '../app/presence/session-end-notifier.ts';
import { builder } from './builder.ts';
import { EventReasonEnum, PlatformEnum } from './enums.ts';

const SessionEnded = builder.objectRef<SessionEnd>('SessionEnded').implement({
  description: 'The end of a session, told to its own client.',
  fields: (t) => ({
    sessionId: t.exposeID('sessionId', { description: 'The session that has ended.' }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'Why.' }),
    kickedBy: t.expose('kickedBy', {
      type: PlatformEnum,
      nullable: true,
      description: 'For KICKED: the platform whose login did it.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', description: 'When.' }),
  }),
});

builder.subscriptionField('sessionEnded', (t) =>
  t.field({
    type: SessionEnded,
    access: 'session',
    description: 'The caller’s own session has ended: one message, after which this subscription is complete.',
    subscribe: (_root, _args, { caller, application: porchlight }) =>
      porchlight.sessionEndNotifier.streamSessionEnd(requireSession(caller)),
    resolve: (ending) => ending,
  }),
);
