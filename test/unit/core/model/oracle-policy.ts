/** The oracle's own model of the policy: expected rows and groups, and its own code for changes. */
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { ALL, GROUP_LETTERS, PUSH_EXPIRY, TABLE, type ExpectedRow } from '../tables.ts';
import type { Platform } from '../../../../src/core/enums.ts';

export interface OraclePolicy {
  readonly rows: Readonly<Record<Platform, ExpectedRow>>;
  readonly groupOf: Readonly<Record<Platform, string>>;
  readonly pushExpiryMs: number;
}

const groupsByLetter = (letters: string): OraclePolicy['groupOf'] =>
  Object.fromEntries(ALL.map((platform, index) => [platform, letters.charAt(index)])) as OraclePolicy['groupOf'];

/** A platform in no group forms its own group. */
const groupsByList = (groups: readonly (readonly Platform[])[]): OraclePolicy['groupOf'] => {
  const found = (platform: Platform) => groups.findIndex((group) => group.includes(platform));
  return Object.fromEntries(
    ALL.map((platform) => [platform, found(platform) < 0 ? `alone ${platform}` : `group ${found(platform)}`]),
  ) as OraclePolicy['groupOf'];
};

export const ORACLE_DEFAULT: OraclePolicy = {
  rows: TABLE.CURRENT,
  groupOf: groupsByLetter(GROUP_LETTERS.SINGLE),
  pushExpiryMs: PUSH_EXPIRY,
};

/** Supports only the changes that the model tests make: valid ones. Null and undefined both mean omitted. */
export const applyOraclePolicyChange = (policy: OraclePolicy, change: PolicyChange): OraclePolicy => {
  const rows = { ...(change.preset ? TABLE[change.preset] : policy.rows) };
  for (const cells of change.platforms ?? []) {
    const old = rows[cells.platform];
    rows[cells.platform] = {
      canBePushOnline: cells.canBePushOnline ?? old.canBePushOnline,
      heartbeatMs: cells.heartbeatIntervalMs ?? old.heartbeatMs,
      timeoutMs: cells.heartbeatTimeoutMs ?? old.timeoutMs,
      backgroundMs: 'backgroundTimeoutMs' in cells ? (cells.backgroundTimeoutMs ?? null) : old.backgroundMs,
      graceMs: cells.disconnectGraceMs ?? old.graceMs,
      instances: cells.maxInstances ?? old.instances,
    };
  }
  let { groupOf } = policy;
  if (change.multiDevice) {
    const { mode, groups } = change.multiDevice;
    groupOf = mode === 'CUSTOM' ? groupsByList(groups ?? []) : groupsByLetter(GROUP_LETTERS[mode]);
  }
  return { rows, groupOf, pushExpiryMs: change.pushOnlineExpiryMs ?? policy.pushExpiryMs };
};
