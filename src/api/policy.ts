/** The policy as it is in force. */
import type {
  MultiDevicePolicy as MultiDevicePolicyRecord,
  PlatformPolicy as PlatformPolicyRecord,
  Policy as PolicyRecord,
} from '../core/policy.ts';
import { builder } from './builder.ts';
import { PlatformEnum } from './enums.ts';
import { type MultiDeviceMode, PLATFORMS } from '../core/enums.ts';

export const MultiDeviceModeEnum = builder.enumType('MultiDeviceMode', {
  description: 'Which platforms may be logged in beside each other: in each group of the mode, one platform at a time.',
  values: {
    SINGLE: { description: 'Every platform in one group: one platform at a time. The default.' },
    DUAL: { description: 'Two groups: WEB and MINI_PROGRAM; all others.' },
    TRIPLE: {
      description: 'Three groups: ANDROID, IPHONE and IPAD; WINDOWS, MAC and LINUX; WEB and MINI_PROGRAM.',
    },
    MULTI: { description: 'WEB and MINI_PROGRAM in one group; each other platform alone.' },
    CUSTOM: { description: 'The groups that were set; a platform in no group is alone.' },
  } satisfies Record<MultiDeviceMode, { readonly description: string }>,
});

const MultiDevicePolicy = builder.objectRef<MultiDevicePolicyRecord>('MultiDevicePolicy').implement({
  description: 'Which devices of one user may be logged in beside each other.',
  fields: (t) => ({
    mode: t.expose('mode', { type: MultiDeviceModeEnum, description: 'The mode.' }),
    groups: t.expose('groups', {
      type: t.listRef(t.listRef(PlatformEnum)),
      description:
        'The groups the mode means. In each, only one platform may have sessions: a login on another one ends them as KICKED.',
    }),
  }),
});

const PlatformPolicy = builder.objectRef<PlatformPolicyRecord>('PlatformPolicy').implement({
  description: 'One row of the platform table.',
  fields: (t) => ({
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform.' }),
    canBePushOnline: t.exposeBoolean('canBePushOnline', {
      description: 'Does a session that is gone become PUSH_ONLINE (true), or end (false)?',
    }),
    heartbeatIntervalMs: t.exposeInt('heartbeatIntervalMs', {
      description: 'How often sessions are told to beat, in milliseconds.',
    }),
    heartbeatTimeoutMs: t.exposeInt('heartbeatTimeoutMs', {
      description: 'After this long without a sign of life, in milliseconds, a session times out.',
    }),
    backgroundTimeoutMs: t.exposeInt('backgroundTimeoutMs', {
      nullable: true,
      description: 'After this long in background, in milliseconds, a session times out; null: never.',
    }),
    disconnectGraceMs: t.exposeInt('disconnectGraceMs', {
      description:
        'How long after its last socket closed a session may come back unnoticed, in milliseconds; 0: a closed socket counts at once.',
    }),
    maxInstances: t.exposeInt('maxInstances', {
      description: 'How many sessions of this platform one user may have; one too many ends the oldest login.',
    }),
  }),
});

export const Policy = builder.objectRef<PolicyRecord>('Policy').implement({
  description: 'The rules in force. They can be changed while the server runs, and are kept across restarts.',
  fields: (t) => ({
    multiDevice: t.expose('multiDevice', {
      type: MultiDevicePolicy,
      description: 'Which devices may be logged in beside each other.',
    }),
    platforms: t.field({
      type: [PlatformPolicy],
      description: 'The platform table: every platform, one row each.',
      resolve: ({ platforms }) => PLATFORMS.map((platform) => platforms[platform]),
    }),
    pushOnlineExpiryMs: t.exposeFloat('pushOnlineExpiryMs', {
      description: 'How long a session may be PUSH_ONLINE without a sign of life, in whole milliseconds.',
    }),
  }),
});

builder.queryField('policy', (t) =>
  t.field({
    type: Policy,
    access: 'backend',
    description: 'The policy in force.',
    resolve: (_root, _args, { application: porchlight }) => porchlight.store.getPolicy(),
  }),
);
