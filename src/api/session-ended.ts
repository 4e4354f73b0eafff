/** `sessionEnded`: notifies a client that its own session ended. */
import { requireSession } from '../app/auth/caller.ts';
import type { SessionEnd } from '../app/presence/session-end-notifier.ts';
import { schemaBuilder } from './builder.ts';
import { EventReasonEnum, PlatformEnum } from './enums.ts';

const SessionEnded = schemaBuilder.objectRef<SessionEnd>('SessionEnded').implement({
  description: 'The end of a session, as its own client receives it.',
  fields: (t) => ({
    sessionId: t.exposeID('sessionId', { description: 'The session that ended.' }),
    reason: t.expose('reason', { type: EventReasonEnum, description: 'The reason of the end.' }),
    kickedBy: t.expose('kickedBy', {
      type: PlatformEnum,
      nullable: true,
      description: 'For KICKED, the platform whose login ended the session. Null otherwise.',
    }),
    endedAt: t.expose('endedAt', { type: 'DateTime', description: 'When the session ended.' }),
  }),
});

schemaBuilder.subscriptionField('sessionEnded', (t) =>
  t.field({
    type: SessionEnded,
    access: 'session',
    description: 'Sends one message when the session of the caller ends, and then completes. Requires a session token.',
    subscribe: (_root, _args, { caller, application }) =>
      application.sessionEndNotifier.streamSessionEnd(requireSession(caller)),
    resolve: (sessionEnd) => sessionEnd,
  }),
);
