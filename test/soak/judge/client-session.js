// A session as its own client knows it: which signs of life were sent and answered, and which sockets were open.

const MAX_ACTIVITY = 16;
const MAX_SOCKET_ENDS = 6;

/** @typedef {import('./policies.js').Row} Row */
/** @typedef {{ heartbeatTimeoutMs: number, heartbeatIntervalMs: number }} Said */
/** @typedef {{ sent: number, acked: number }} Sign */
/** @typedef {{ attachSent: number, attached: number, closed: number, dropped: boolean }} Plug */

export class ClientSession {
  /** Acknowledged ones, the newest last. @type {Sign[]} */
  acknowledgedActivity = [];
  /** When one was sent, the last times, answered or not. @type {number[]} */
  #sent = [];
  /** The timings that it was told, the newest last. @type {(Sign & { said: Said })[]} */
  #learned = [];
  /** It may have been told others in these times: an answer had not come, or never did. @type {{ from: number, until: number }[]} */
  #unsure = [];
  /** Since when it is in background, as acknowledged; null: it is not. @type {Sign | null} */
  background = null;
  /** It may be in background, or not: an answer never came. Since then. @type {number | null} */
  backgroundUnsureSince = null;
  /** When the background was left, as acknowledged. */
  foreground = 0;
  /** When an app state was told and acknowledged, the last times. @type {number[]} */
  appStateTimes = [];
  /** @type {Set<Plug>} */
  attachedSockets = new Set();
  /** When a socket that was attached came to its end, the last times. @type {number[]} */
  socketEnds = [];
  /** And of one that may have been, or not any more. @type {number[]} */
  possibleSocketEnds = [];
  /** What may attach a socket was sent. */
  lastAttachSent = 0;
  /** The client has said farewell: a logout is under way. */
  isLoggingOut = false;

  /** @param {{ id: string, userId: string, platform: string, deviceId: string, token: string }} login */
  constructor({ id, userId, platform, deviceId, token }) {
    this.id = id;
    this.userId = userId;
    this.platform = platform;
    this.deviceId = deviceId;
    this.token = token;
  }

  /** A sign of life is on its way. */
  recordSent(at = Date.now()) {
    this.#sent.push(at);
    if (this.#sent.length > 2 * MAX_ACTIVITY) this.#sent.splice(0, MAX_ACTIVITY);
  }

  get lastSentAt() {
    return this.#sent.at(-1) ?? 0;
  }

  /** @param {number} sent */
  recordAcknowledged(sent, acked = Date.now()) {
    this.acknowledgedActivity.push({ sent, acked });
    if (this.acknowledgedActivity.length > MAX_ACTIVITY) this.acknowledgedActivity.splice(0, MAX_ACTIVITY / 2);
  }

  /** The newest that was sent before that and acknowledged before that. @param {number} before */
  lastActivityAcknowledgedBefore(before) {
    let sent = 0;
    for (const sign of this.acknowledgedActivity) if (sign.acked <= before && sign.sent > sent) sent = sign.sent;
    return sent;
  }

  /** When the server had heard the last one that it can have heard by then, at the latest. @param {number} at */
  lastActivityReceivedBy(at) {
    let heard = Math.max(0, ...this.#sent.filter((sent) => sent <= at));
    for (const { sent, acked } of this.acknowledgedActivity)
      if (sent <= at) heard = Math.max(heard, Math.min(acked, at));
    return heard;
  }

  get lastAcknowledgedAt() {
    return this.acknowledgedActivity.at(-1)?.acked ?? 0;
  }

  /** A socket is at its end. */
  recordSocketEnd({ wasAttached = true } = {}) {
    const cuts = wasAttached ? this.socketEnds : this.possibleSocketEnds;
    cuts.push(Date.now());
    if (cuts.length > MAX_SOCKET_ENDS) cuts.shift();
  }

  /** @param {number} sent @returns {Plug} */
  recordAttachedSocket(sent) {
    this.lastAttachSent = sent;
    const plug = { attachSent: sent, attached: Date.now(), closed: Infinity, dropped: false };
    for (const old of this.attachedSockets) if (old.closed < sent - 60_000) this.attachedSockets.delete(old);
    this.attachedSockets.add(plug);
    return plug;
  }

  /**
   * The rows of the policy that it may have been told by then; none when that is too long ago.
   * @param {import('./policies.js').Policies} policies
   * @param {number} at
   * @returns {Row[]}
   */
  possiblePolicyRows(policies, at) {
    const { platform } = this;
    const certain = this.#learned.findLast(({ acked }) => acked <= at);
    const possible = this.#learned.filter((one) => one === certain || (one.acked > at && one.sent <= at));
    const rows = possible.flatMap(({ sent, acked, said }) =>
      policies
        .rows(platform, sent, acked)
        .filter(
          ({ heartbeatTimeoutMs, heartbeatIntervalMs }) =>
            heartbeatTimeoutMs === said.heartbeatTimeoutMs && heartbeatIntervalMs === said.heartbeatIntervalMs,
        ),
    );
    const unsure = this.#unsure.filter(({ from, until }) => from <= at && until >= at);
    return [...rows, ...unsure.flatMap(({ from }) => policies.rows(platform, from, at))];
  }

  /**
   * Its app state was told and acknowledged.
   * @param {string} appState
   * @param {number} sent
   * @param {number} acked
   */
  recordAppState(appState, sent, acked) {
    // Those told before it that were not acknowledged may have counted as well.
    const unsure = this.backgroundUnsureSince ?? sent;
    this.backgroundUnsureSince = null;
    this.appStateTimes.push(acked);
    if (this.appStateTimes.length > MAX_ACTIVITY) this.appStateTimes.shift();
    if (appState === 'FOREGROUND') {
      this.background = null;
      this.foreground = acked;
    } else if (this.background === null) this.background = { sent: unsure, acked };
    else if (unsure < sent) this.background = { sent: this.background.sent, acked };
  }

  /** The answer says which timings it keeps from now on. @param {number} sent @param {Said} said */
  recordTimings(sent, said, acked = Date.now()) {
    const { heartbeatTimeoutMs, heartbeatIntervalMs } = said;
    this.#learned.push({ sent, acked, said: { heartbeatTimeoutMs, heartbeatIntervalMs } });
    if (this.#learned.length > MAX_ACTIVITY) this.#learned.shift();
    const unsure = this.#unsure.at(-1);
    // What was asked for once and answered leaves no doubt.
    if (unsure?.from === sent) this.#unsure.pop();
    else if (unsure !== undefined) unsure.until = Math.min(unsure.until, acked);
  }

  /** It asks what will tell it the timings. @param {number} sent */
  recordTimingsRequest(sent) {
    if (this.#unsure.at(-1)?.until === Infinity) return;
    this.#unsure.push({ from: sent, until: Infinity });
    if (this.#unsure.length > MAX_ACTIVITY) this.#unsure.shift();
  }
}

/**
 * The least or the most that one of them says; null when none says anything.
 * @param {'min' | 'max'} which
 * @param {readonly Row[]} rows
 * @param {(row: Row) => number | null} cell
 */
export function extremeTiming(which, rows, cell) {
  const values = rows.flatMap((row) => cell(row) ?? []);
  return values.length === 0 ? null : Math[which](...values);
}
