/** `setCustomStatus`: the text that a user sets. */
import { requireSession } from '../app/auth/caller.ts';
import type { UserRecord } from '../core/records.ts';
import { validateVisibleText } from '../core/texts.ts';
import { schemaBuilder } from './builder.ts';
import { UserStatusType } from './user-status.ts';

const SetCustomStatusInput = schemaBuilder.inputType('SetCustomStatusInput', {
  description: 'The text to show beside the status of the user.',
  fields: (t) => ({
    text: t.string({
      description:
        'At most 256 characters. Control characters are answered BAD_USER_INPUT, except line breaks and tabs. If the text is null, omitted, empty or white space alone, it is cleared. It is also cleared when the user becomes OFFLINE.',
    }),
  }),
});

const SetCustomStatusPayload = schemaBuilder.objectRef<UserRecord>('SetCustomStatusPayload').implement({
  description: 'The result of `setCustomStatus`.',
  fields: (t) => ({
    userStatus: t.field({
      type: UserStatusType,
      description: 'The user after the change. If the text changed, the version increased by one.',
      resolve: (user) => user,
    }),
  }),
});

schemaBuilder.mutationField('setCustomStatus', (t) =>
  t.field({
    type: SetCustomStatusPayload,
    access: 'session',
    description:
      'Sets or clears the text beside the status of the user of this session. Watchers receive the change. Requires a session token.',
    args: { input: t.arg({ type: SetCustomStatusInput, required: true, description: 'The new text.' }) },
    resolve: async (_root, { input }, { caller, application }) => {
      const text = validateVisibleText('customStatus', input.text);
      return (await application.tracker.setCustomStatus(requireSession(caller), text)).user;
    },
  }),
);
