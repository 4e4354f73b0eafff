/** The user's own words. */
import { requireSession } from '../app/auth/caller.ts';
import { validateCustomStatus } from '../core/ids.ts';
import type { UserRecord } from '../core/records.ts';
import { builder } from './builder.ts';
import { UserStatus } from './user-status.ts';

const SetCustomStatusInput = builder.inputType('SetCustomStatusInput', {
  description: 'The text to show beside the status.',
  fields: (t) => ({
    text: t.string({
      description:
        'At most 256 characters. Null, or left out, clears it. It is cleared by itself when the user becomes OFFLINE.',
    }),
  }),
});

const SetCustomStatusPayload = builder.objectRef<UserRecord>('SetCustomStatusPayload').implement({
  description: 'The user with her new text.',
  fields: (t) => ({
    userStatus: t.field({
      type: UserStatus,
      description: 'The user after it. The version is one higher if the text has changed.',
      resolve: (user) => user,
    }),
  }),
});

builder.mutationField('setCustomStatus', (t) =>
  t.field({
    type: SetCustomStatusPayload,
    access: 'session',
    description: 'Sets, or clears, the text shown beside the user’s status. Watchers are told of a change.',
    args: { input: t.arg({ type: SetCustomStatusInput, required: true, description: 'The text.' }) },
    resolve: async (_root, { input }, { caller, application: porchlight }) => {
      const text = input.text == null ? null : validateCustomStatus(input.text);
      return (await porchlight.tracker.setCustomStatus(requireSession(caller), text)).user;
    },
  }),
);
