/** The type `Policy`, and `policy`. */
import type {
  MultiDevicePolicy as MultiDevicePolicyRecord,
  PlatformPolicy as PlatformPolicyRecord,
  Policy as PolicyRecord,
} from '../core/policy.ts';
import { schemaBuilder } from './builder.ts';
import { PlatformEnum } from './enums.ts';
import { type MultiDeviceMode, PLATFORMS } from '../core/enums.ts';

export const MultiDeviceModeEnum = schemaBuilder.enumType('MultiDeviceMode', {
  description:
    'Divides the platforms into groups. Within each group, a user may be logged in on only one platform at a time.',
  values: {
    SINGLE: { description: 'One group with all platforms. The default.' },
    DUAL: { description: 'Two groups: WEB and MINI_PROGRAM; all other platforms.' },
    TRIPLE: {
      description: 'Three groups: ANDROID, IPHONE and IPAD; WINDOWS, MAC and LINUX; WEB and MINI_PROGRAM.',
    },
    MULTI: { description: 'WEB and MINI_PROGRAM form one group. Each other platform is a group of its own.' },
    CUSTOM: { description: 'The configured groups. A platform that is in no group is a group of its own.' },
  } satisfies Record<MultiDeviceMode, { readonly description: string }>,
});

const MultiDevicePolicy = schemaBuilder.objectRef<MultiDevicePolicyRecord>('MultiDevicePolicy').implement({
  description: 'The platforms on which one user may be logged in at the same time.',
  fields: (t) => ({
    mode: t.expose('mode', { type: MultiDeviceModeEnum, description: 'The mode.' }),
    groups: t.expose('groups', {
      type: t.listRef(t.listRef(PlatformEnum)),
      description:
        'The groups of the mode. Only one platform of a group may have sessions. A login on another one ends them with the reason KICKED.',
    }),
  }),
});

const PlatformPolicy = schemaBuilder.objectRef<PlatformPolicyRecord>('PlatformPolicy').implement({
  description: 'The rules for the sessions on one platform.',
  fields: (t) => ({
    platform: t.expose('platform', { type: PlatformEnum, description: 'The platform.' }),
    canBePushOnline: t.exposeBoolean('canBePushOnline', {
      description: 'Whether a session that times out or disconnects becomes PUSH_ONLINE. Otherwise it ends.',
    }),
    heartbeatIntervalMs: t.exposeInt('heartbeatIntervalMs', {
      description: 'The interval at which clients send heartbeats, in milliseconds.',
    }),
    heartbeatTimeoutMs: t.exposeInt('heartbeatTimeoutMs', {
      description: 'A session times out after this time without activity, in milliseconds.',
    }),
    backgroundTimeoutMs: t.exposeInt('backgroundTimeoutMs', {
      nullable: true,
      description: 'A session times out after this time in the background, in milliseconds. Null: never.',
    }),
    disconnectGraceMs: t.exposeInt('disconnectGraceMs', {
      description:
        'A session is disconnected this long after its last WebSocket closed, in milliseconds. It may reconnect before. 0: at once.',
    }),
    maxInstances: t.exposeInt('maxInstances', {
      description:
        'The maximum number of sessions of one user on this platform. A further login ends the session with the oldest login.',
    }),
  }),
});

export const PolicyType = schemaBuilder.objectRef<PolicyRecord>('Policy').implement({
  description: 'The rules for sessions. They can be changed while the server runs, and survive a restart.',
  fields: (t) => ({
    multiDevice: t.expose('multiDevice', {
      type: MultiDevicePolicy,
      description: 'The platforms on which one user may be logged in at the same time.',
    }),
    platforms: t.field({
      type: [PlatformPolicy],
      description: 'The rules of every platform, one item per platform.',
      resolve: ({ platforms }) => PLATFORMS.map((platform) => platforms[platform]),
    }),
    pushOnlineExpiryMs: t.exposeFloat('pushOnlineExpiryMs', {
      description: 'A PUSH_ONLINE session ends after this time without activity, in whole milliseconds.',
    }),
  }),
});

schemaBuilder.queryField('policy', (t) =>
  t.field({
    type: PolicyType,
    access: 'backend',
    description: 'The current policy. Requires an API key.',
    resolve: (_root, _args, { application }) => application.store.getPolicy(),
  }),
);
