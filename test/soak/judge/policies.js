// Which policy may have been in force when: changed by us alone, and asked for is not yet answered.

/** @typedef {{ platform: string, canBePushOnline: boolean, heartbeatIntervalMs: number, heartbeatTimeoutMs: number, backgroundTimeoutMs: number | null, disconnectGraceMs: number, maxInstances: number }} Row */
/** @typedef {{ mode: string, groups: string[][], rows: Record<string, Row>, pushOnlineExpiryMs: number }} Policy */
/** @typedef {{ policy: Policy, from: number, until: number }} Reign */

export const PLATFORMS = ['ANDROID', 'IPHONE', 'IPAD', 'WINDOWS', 'MAC', 'LINUX', 'WEB', 'MINI_PROGRAM'];

export const POLICY_FIELDS = `multiDevice { mode groups } pushOnlineExpiryMs platforms { platform canBePushOnline
  heartbeatIntervalMs heartbeatTimeoutMs backgroundTimeoutMs disconnectGraceMs maxInstances }`;

/** @param {any} said as the server says it @returns {Policy} */
export const policyOf = ({ multiDevice, platforms, pushOnlineExpiryMs }) => ({
  mode: multiDevice.mode,
  groups: multiDevice.groups,
  rows: Object.fromEntries(platforms.map((/** @type {Row} */ row) => [row.platform, row])),
  pushOnlineExpiryMs,
});

export class Policies {
  /** @type {Reign[]} */
  #periods = [];
  /** When a change was asked for of which it is not known yet what came of it. @type {number | null} */
  unsureSince = null;

  /**
   * It was asked for at `from` and is certain at `now`; what was there before may have been in force until then.
   * @param {Policy} policy
   * @param {number} from
   */
  certain(policy, from, now = Date.now()) {
    for (const reign of this.#periods) reign.until = Math.min(reign.until, now);
    this.#periods.push({ policy, from, until: Infinity });
    this.unsureSince = null;
    if (this.#periods.length > 200) this.#periods.splice(0, 100);
  }

  get isUnsure() {
    return this.unsureSince !== null;
  }

  /** Any that may have been in force at some time between. @param {number} from @param {number} to */
  between(from, to) {
    /** @type {Policy[]} */
    const found = [];
    for (let index = this.#periods.length - 1; index >= 0; index--) {
      const reign = /** @type {Reign} */ (this.#periods[index]);
      if (reign.until < from) break;
      if (reign.from <= to) found.push(reign.policy);
    }
    return found;
  }

  /** @param {string} platform @param {number} from @param {number} to @returns {Row[]} */
  rows(platform, from, to) {
    return this.between(from, to).map(({ rows }) => /** @type {Row} */ (rows[platform]));
  }
}

/**
 * Whom a login ends, by semantics §4.
 * @template {{ platform: string, deviceId: string }} S
 * @param {readonly S[]} sessions in the order of their logins
 * @param {{ platform: string, deviceId: string }} login
 * @param {Policy} policy
 */
export function endedByLogin(sessions, login, policy) {
  const replaced = sessions.filter(
    ({ platform, deviceId }) => platform === login.platform && deviceId === login.deviceId,
  );
  const others = sessions.filter((session) => !replaced.includes(session));
  const siblings = others.filter(({ platform }) => platform === login.platform);
  const max = /** @type {Row} */ (policy.rows[login.platform]).maxInstances;
  const surplus = siblings.slice(0, Math.max(0, siblings.length + 1 - max));
  const kicked = others.filter(
    (session) =>
      surplus.includes(session) ||
      (session.platform !== login.platform &&
        policy.groups.some((group) => group.includes(session.platform) && group.includes(login.platform))),
  );
  return { replaced, kicked };
}
