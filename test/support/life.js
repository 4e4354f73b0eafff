// The life of a user as her events tell it, and what must hold of every such life, whatever has happened.

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

export const ENDS = ['LOGOUT', 'KICKED', 'REPLACED', 'REVOKED', 'PUSH_EXPIRED'];
export const DROPS = ['DISCONNECT', 'HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT'];

/** @typedef {{ id: string, platform: string, deviceId: string, status: string, since: number, reason: string }} LiveSession */

/** @param {Iterable<{ status: string }>} sessions */
const highest = (sessions) => {
  let status = 'OFFLINE';
  for (const session of sessions) {
    if (session.status === 'ONLINE') return 'ONLINE';
    status = session.status;
  }
  return status;
};

export class Life {
  status = 'OFFLINE';
  version = 0;
  /** @type {string | null} */
  customStatus = null;
  occurredAt = '';
  changeId = '';
  /** In the order of their logins. @type {Map<string, LiveSession>} */
  live = new Map();

  /**
   * One change.
   * @param {readonly Event[]} events all of one changeId, in order
   * @param {(sessionId: string) => boolean} hasEnded has this session ended already?
   * @returns {string[]} what is wrong with it
   */
  change(events, hasEnded) {
    /** @type {string[]} */
    const faults = [];
    const expect = (/** @type {boolean} */ holds, /** @type {string} */ words) => {
      if (!holds) faults.push(words);
    };
    const first = /** @type {Event} */ (events[0]);
    expect(first.changeId !== this.changeId, 'a change is told at one place');
    for (const event of events) this.#session(event, hasEnded, expect);
    const status = highest(this.live.values());
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
      expect(event.reason !== 'KICKED' || event.kickedBy === first.platform, 'kickedBy is who logged in');
      expect(event.reason === 'KICKED' || event.kickedBy === null, 'only KICKED has a kickedBy');
    });
    // What was wrong is told once: the server's word is what the next change is held against.
    const last = /** @type {Event} */ (events.at(-1));
    this.status = last.status;
    this.version = last.version;
    this.customStatus = last.customStatus;
    this.occurredAt = last.occurredAt;
    this.changeId = last.changeId;
    return faults;
  }

  /**
   * @param {Event} event
   * @param {(sessionId: string) => boolean} hasEnded
   * @param {(holds: boolean, words: string) => void} expect
   */
  #session(event, hasEnded, expect) {
    const { sessionId, reason, sessionStatus, platform, deviceId } = event;
    const before = this.live.get(sessionId)?.status;
    expect(!hasEnded(sessionId), `${reason} of a session that has ended`);
    expect((before === undefined) === (reason === 'LOGIN'), `${reason} of a session that is ${before ?? 'not known'}`);
    if (reason === 'LOGIN') expect(sessionStatus === 'ONLINE', 'LOGIN makes it ONLINE');
    else if (reason === 'RECONNECT')
      expect(before === 'PUSH_ONLINE' && sessionStatus === 'ONLINE', `RECONNECT from ${before} to ${sessionStatus}`);
    else if (reason === 'CUSTOM_STATUS') expect(sessionStatus === before, 'CUSTOM_STATUS leaves the session as it is');
    else if (ENDS.includes(reason)) expect(sessionStatus === 'OFFLINE', `${reason} ends it`);
    else if (DROPS.includes(reason))
      expect(before === 'ONLINE' && sessionStatus !== 'ONLINE', `${reason} from ${before} to ${sessionStatus}`);
    else expect(false, `${reason} is no reason that is documented`);
    if (reason === 'PUSH_EXPIRED') expect(before === 'PUSH_ONLINE', `PUSH_EXPIRED from ${before}`);
    if (sessionStatus === 'OFFLINE') {
      this.live.delete(sessionId);
      return;
    }
    const since = Date.parse(event.occurredAt);
    const session = this.live.get(sessionId);
    if (session === undefined) {
      this.live.set(sessionId, { id: sessionId, platform, deviceId, status: sessionStatus, since, reason });
    } else if (session.status !== sessionStatus) {
      session.status = sessionStatus;
      session.since = since;
      session.reason = reason;
    }
  }
}
