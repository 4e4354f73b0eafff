/** Changing the policy while the server runs. */
import { applyPolicyChange, type Policy as PolicyRecord } from '../core/policy.ts';
import { builder } from './builder.ts';
import { MultiDeviceModeEnum, Policy } from './policy.ts';
import { PlatformEnum } from './enums.ts';
import type { PlatformPreset } from '../core/enums.ts';

const PlatformPresetEnum = builder.enumType('PlatformPreset', {
  description: 'Platform tables that ship with Porchlight.',
  values: {
    CURRENT: { description: 'The default.' },
    MOBILE_ONLY: { description: 'As CURRENT, but MAC can’t be PUSH_ONLINE.' },
    CLASSIC: {
      description: 'As MOBILE_ONLY, and WEB and MINI_PROGRAM beat every 120 s and time out after 400 s.',
    },
  } satisfies Record<PlatformPreset, { readonly description: string }>,
});

const MultiDevicePolicyInput = builder.inputType('MultiDevicePolicyInput', {
  description: 'Which devices of one user may be logged in beside each other.',
  fields: (t) => ({
    mode: t.field({ type: MultiDeviceModeEnum, required: true, description: 'The mode.' }),
    groups: t.field({
      type: [t.listRef(PlatformEnum)],
      description:
        'For CUSTOM: the groups; a platform may be in one at most. Another mode takes none but its own, as `policy` tells them.',
    }),
  }),
});

const PlatformPolicyInput = builder.inputType('PlatformPolicyInput', {
  description: 'A change of one row of the platform table. What is left out stays as it is.',
  fields: (t) => ({
    platform: t.field({ type: PlatformEnum, required: true, description: 'The row. Each at most once.' }),
    canBePushOnline: t.boolean({ description: 'Does a session that is gone become PUSH_ONLINE, or end?' }),
    heartbeatIntervalMs: t.int({
      description: 'How often to beat, in milliseconds; must be less than heartbeatTimeoutMs.',
    }),
    heartbeatTimeoutMs: t.int({
      description: 'How long a session may be silent, in milliseconds; at least 1000.',
    }),
    backgroundTimeoutMs: t.int({
      description: 'How long a session may be in background, in milliseconds; at least 1000. Null: for ever.',
    }),
    disconnectGraceMs: t.int({
      description: 'How long after its last socket closed a session may come back unnoticed, in milliseconds.',
    }),
    maxInstances: t.int({ description: 'How many sessions of this platform one user may have: 1 to 1000.' }),
  }),
});

const UpdatePolicyInput = builder.inputType('UpdatePolicyInput', {
  description: 'What is left out stays as it is.',
  fields: (t) => ({
    multiDevice: t.field({
      type: MultiDevicePolicyInput,
      description: 'Which devices may be logged in beside each other.',
    }),
    preset: t.field({
      type: PlatformPresetEnum,
      description: 'Replaces the whole platform table; `platforms` is then laid over it.',
    }),
    platforms: t.field({ type: [PlatformPolicyInput], description: 'Rows of the platform table to change.' }),
    pushOnlineExpiryMs: t.float({
      description:
        'How long a session may be PUSH_ONLINE without a sign of life, in whole milliseconds; 1000 to ten years.',
    }),
  }),
});

const UpdatePolicyPayload = builder.objectRef<PolicyRecord>('UpdatePolicyPayload').implement({
  description: 'The policy after the change.',
  fields: (t) => ({
    policy: t.field({ type: Policy, description: 'The policy in force from now on.', resolve: (policy) => policy }),
  }),
});

builder.mutationField('updatePolicy', (t) =>
  t.field({
    type: UpdatePolicyPayload,
    access: 'backend',
    description:
      'Changes the policy, durably and as a whole or not at all. It ends no session: each keeps its timings until its next heartbeat or login.',
    args: { input: t.arg({ type: UpdatePolicyInput, required: true, description: 'The change.' }) },
    resolve: (_root, { input }, { application: porchlight }) =>
      porchlight.store.updatePolicy((policy) => applyPolicyChange(policy, input)),
  }),
);
