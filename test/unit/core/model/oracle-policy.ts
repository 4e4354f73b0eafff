/** The oracle's own idea of the policy: rows and group letters, laid over one another by its own few lines. */
import type { PolicyChange } from '../../../../src/core/policy.ts';
import { ALL, GROUP_LETTERS, PUSH_EXPIRY, TABLE, type Row } from '../tables.ts';
import type { Platform } from '../../../../src/core/enums.ts';

export interface OraclePolicy {
  readonly rows: Readonly<Record<Platform, Row>>;
  readonly groupOf: Readonly<Record<Platform, string>>;
  readonly expiry: number;
}

const lettered = (letters: string): OraclePolicy['groupOf'] =>
  Object.fromEntries(ALL.map((platform, index) => [platform, letters.charAt(index)])) as OraclePolicy['groupOf'];

/** A platform in no group is a group of its own. */
const listed = (groups: readonly (readonly Platform[])[]): OraclePolicy['groupOf'] => {
  const found = (platform: Platform) => groups.findIndex((group) => group.includes(platform));
  return Object.fromEntries(
    ALL.map((platform) => [platform, found(platform) < 0 ? `alone ${platform}` : `group ${found(platform)}`]),
  ) as OraclePolicy['groupOf'];
};

export const ORACLE_DEFAULT: OraclePolicy = {
  rows: TABLE.CURRENT,
  groupOf: lettered(GROUP_LETTERS.SINGLE),
  expiry: PUSH_EXPIRY,
};

/** Knows only the changes that the model tests make: valid ones, with null and undefined both for "left out". */
export const oraclePolicyAfter = (policy: OraclePolicy, change: PolicyChange): OraclePolicy => {
  const rows = { ...(change.preset ? TABLE[change.preset] : policy.rows) };
  for (const cells of change.platforms ?? []) {
    const old = rows[cells.platform];
    rows[cells.platform] = {
      push: cells.canBePushOnline ?? old.push,
      every: cells.heartbeatIntervalMs ?? old.every,
      silent: cells.heartbeatTimeoutMs ?? old.silent,
      background: 'backgroundTimeoutMs' in cells ? (cells.backgroundTimeoutMs ?? null) : old.background,
      grace: cells.disconnectGraceMs ?? old.grace,
      instances: cells.maxInstances ?? old.instances,
    };
  }
  let { groupOf } = policy;
  if (change.multiDevice) {
    const { mode, groups } = change.multiDevice;
    groupOf = mode === 'CUSTOM' ? listed(groups ?? []) : lettered(GROUP_LETTERS[mode]);
  }
  return { rows, groupOf, expiry: change.pushOnlineExpiryMs ?? policy.expiry };
};
