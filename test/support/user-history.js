// Rebuilds a user's state from their events and checks the rules that hold for every sequence of events.

/**
 * @typedef {object} Event
 * @property {string} cursor
 * @property {string} changeId
 * @property {string} userId
 * @property {string} sessionId
 * @property {string} platform
 * @property {string} deviceId
 * @property {string} reason
 * @property {string} sessionStatus
 * @property {string} previousStatus
 * @property {string} status
 * @property {number} version
 * @property {string | null} kickedBy
 * @property {string | null} customStatus
 * @property {string} occurredAt
 */

export const EVENT_FIELDS = `cursor changeId userId sessionId platform deviceId reason sessionStatus previousStatus
  status version kickedBy customStatus occurredAt`;

export const END_REASONS = ['LOGOUT', 'KICKED', 'REPLACED', 'REVOKED', 'PUSH_EXPIRED'];
export const DISCONNECT_REASONS = ['DISCONNECT', 'HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT'];

/** @typedef {{ id: string, platform: string, deviceId: string, status: string, since: number, reason: string }} LiveSession */

/** @param {Iterable<{ status: string }>} sessions */
const highestStatus = (sessions) => {
  let status = 'OFFLINE';
  for (const session of sessions) {
    if (session.status === 'ONLINE') return 'ONLINE';
    status = session.status;
  }
  return status;
};

export class UserHistory {
  status = 'OFFLINE';
  version = 0;
  /** @type {string | null} */
  customStatus = null;
  occurredAt = '';
  changeId = '';
  /** By session id, in the order of their logins. @type {Map<string, LiveSession>} */
  liveSessions = new Map();

  /**
   * Applies the events of one change and checks them.
   * @param {readonly Event[]} events all events of one changeId, in order
   * @param {(sessionId: string) => boolean} hasEnded whether a session has already ended
   * @returns {string[]} the violated rules; empty when none is
   */
  checkChange(events, hasEnded) {
    /** @type {string[]} */
    const violations = [];
    const expect = (/** @type {boolean} */ holds, /** @type {string} */ rule) => {
      if (!holds) violations.push(rule);
    };
    const first = /** @type {Event} */ (events[0]);
    expect(first.changeId !== this.changeId, 'the events of a change are adjacent');
    for (const event of events) this.#checkEvent(event, hasEnded, expect);
    const status = highestStatus(this.liveSessions.values());
    const text =
      status === 'OFFLINE' ? null : first.reason === 'CUSTOM_STATUS' ? first.customStatus : this.customStatus;
    const changed = status !== this.status || text !== this.customStatus;
    const version = this.version + (changed ? 1 : 0);
    events.forEach((event, index) => {
      expect(event.previousStatus === (index === 0 ? this.status : status), `previousStatus of ${event.reason}`);
      expect(event.status === status, `status after ${event.reason} is the highest of the sessions, ${status}`);
      expect(event.version === version, `version after ${event.reason} is ${version}`);
      expect(event.customStatus === text, `custom text after ${event.reason} is ${JSON.stringify(text)}`);
      expect(event.occurredAt >= this.occurredAt, 'time does not go back');
      expect(
        index === 0 || ['KICKED', 'REPLACED', 'REVOKED'].includes(event.reason),
        `${event.reason} within a change`,
      );
      expect(event.reason !== 'KICKED' || event.kickedBy === first.platform, 'kickedBy is the platform that logged in');
      expect(event.reason === 'KICKED' || event.kickedBy === null, 'only KICKED has a kickedBy');
    });
    // The state continues from the server's values, so that each violation is reported once.
    const last = /** @type {Event} */ (events.at(-1));
    this.status = last.status;
    this.version = last.version;
    this.customStatus = last.customStatus;
    this.occurredAt = last.occurredAt;
    this.changeId = last.changeId;
    return violations;
  }

  /**
   * @param {Event} event
   * @param {(sessionId: string) => boolean} hasEnded
   * @param {(holds: boolean, words: string) => void} expect
   */
  #checkEvent(event, hasEnded, expect) {
    const { sessionId, reason, sessionStatus, platform, deviceId } = event;
    const before = this.liveSessions.get(sessionId)?.status;
    expect(!hasEnded(sessionId), `${reason} of a session that has ended`);
    expect((before === undefined) === (reason === 'LOGIN'), `${reason} of a session that is ${before ?? 'unknown'}`);
    if (reason === 'LOGIN') expect(sessionStatus === 'ONLINE', 'LOGIN makes the session ONLINE');
    else if (reason === 'RECONNECT')
      expect(before === 'PUSH_ONLINE' && sessionStatus === 'ONLINE', `RECONNECT from ${before} to ${sessionStatus}`);
    else if (reason === 'CUSTOM_STATUS')
      expect(sessionStatus === before, 'CUSTOM_STATUS does not change the status of the session');
    else if (END_REASONS.includes(reason)) expect(sessionStatus === 'OFFLINE', `${reason} ends the session`);
    else if (DISCONNECT_REASONS.includes(reason))
      expect(before === 'ONLINE' && sessionStatus !== 'ONLINE', `${reason} from ${before} to ${sessionStatus}`);
    else expect(false, `${reason} is not a documented reason`);
    if (reason === 'PUSH_EXPIRED') expect(before === 'PUSH_ONLINE', `PUSH_EXPIRED from ${before}`);
    if (sessionStatus === 'OFFLINE') {
      this.liveSessions.delete(sessionId);
      return;
    }
    const since = Date.parse(event.occurredAt);
    const session = this.liveSessions.get(sessionId);
    if (session === undefined) {
      this.liveSessions.set(sessionId, { id: sessionId, platform, deviceId, status: sessionStatus, since, reason });
    } else if (session.status !== sessionStatus) {
      session.status = sessionStatus;
      session.since = since;
      session.reason = reason;
    }
  }
}
