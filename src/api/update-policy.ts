/** `updatePolicy`: changes the policy while the server runs. */
import { applyPolicyChange, type Policy as PolicyRecord } from '../core/policy.ts';
import { schemaBuilder } from './builder.ts';
import { MultiDeviceModeEnum, PolicyType } from './policy.ts';
import { PlatformEnum } from './enums.ts';
import type { PlatformPreset } from '../core/enums.ts';

const PlatformPresetEnum = schemaBuilder.enumType('PlatformPreset', {
  description: 'A predefined platform table.',
  values: {
    CURRENT: { description: 'The default.' },
    MOBILE_ONLY: { description: 'Like CURRENT, but MAC sessions cannot be PUSH_ONLINE.' },
    CLASSIC: {
      description:
        'Like MOBILE_ONLY, but WEB and MINI_PROGRAM have a heartbeat interval of 120 s and a heartbeat timeout of 400 s.',
    },
  } satisfies Record<PlatformPreset, { readonly description: string }>,
});

const MultiDevicePolicyInput = schemaBuilder.inputType('MultiDevicePolicyInput', {
  description: 'The platforms on which one user may be logged in at the same time.',
  fields: (t) => ({
    mode: t.field({ type: MultiDeviceModeEnum, required: true, description: 'The mode.' }),
    groups: t.field({
      type: [t.listRef(PlatformEnum)],
      description:
        'The groups of the mode CUSTOM, which requires them. Each platform may be in one group at most. For another mode, omit them or pass its own groups as returned by `policy`.',
    }),
  }),
});

const PlatformPolicyInput = schemaBuilder.inputType('PlatformPolicyInput', {
  description: 'A change of the rules of one platform. Omitted fields are unchanged.',
  fields: (t) => ({
    platform: t.field({
      type: PlatformEnum,
      required: true,
      description: 'The platform. It may occur only once in a list.',
    }),
    canBePushOnline: t.boolean({
      description: 'Whether a session that times out or disconnects becomes PUSH_ONLINE. Otherwise it ends.',
    }),
    heartbeatIntervalMs: t.int({
      description: 'The heartbeat interval in milliseconds. It must be less than `heartbeatTimeoutMs`.',
    }),
    heartbeatTimeoutMs: t.int({
      description: 'The time without activity after which a session times out, in milliseconds, at least 1000.',
    }),
    backgroundTimeoutMs: t.int({
      description:
        'The time in the background after which a session times out, in milliseconds, at least 1000. Null: never.',
    }),
    disconnectGraceMs: t.int({
      description: 'The time to reconnect after the last WebSocket closed, in milliseconds. 0: none.',
    }),
    maxInstances: t.int({
      description: 'The maximum number of sessions of one user on this platform: 1 to 1000.',
    }),
  }),
});

const UpdatePolicyInput = schemaBuilder.inputType('UpdatePolicyInput', {
  description: 'A change of the policy. Omitted fields are unchanged.',
  fields: (t) => ({
    multiDevice: t.field({
      type: MultiDevicePolicyInput,
      description: 'The platforms on which one user may be logged in at the same time.',
    }),
    preset: t.field({
      type: PlatformPresetEnum,
      description: 'Replaces the rules of all platforms. `platforms` is applied afterwards.',
    }),
    platforms: t.field({ type: [PlatformPolicyInput], description: 'Changes of single platforms.' }),
    pushOnlineExpiryMs: t.float({
      description:
        'The time without activity after which a PUSH_ONLINE session ends, in whole milliseconds: 1000 to 315360000000 (ten years).',
    }),
  }),
});

const UpdatePolicyPayload = schemaBuilder.objectRef<PolicyRecord>('UpdatePolicyPayload').implement({
  description: 'The result of `updatePolicy`.',
  fields: (t) => ({
    policy: t.field({ type: PolicyType, description: 'The policy after the change.', resolve: (policy) => policy }),
  }),
});

schemaBuilder.mutationField('updatePolicy', (t) =>
  t.field({
    type: UpdatePolicyPayload,
    access: 'backend',
    description:
      'Changes the policy, either completely or not at all. No session ends: each session keeps its timings until its next heartbeat or login. BAD_USER_INPUT for an invalid value. Requires an API key.',
    args: { input: t.arg({ type: UpdatePolicyInput, required: true, description: 'The change.' }) },
    resolve: async (_root, { input }, { application }) => {
      const policy = await application.store.updatePolicy((current) => applyPolicyChange(current, input));
      application.operatorLog.policyUpdated(policy);
      return policy;
    },
  }),
);
