// A session from its client's view: the activity that was sent and acknowledged, and the sockets that were open.

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
  /** The timings that the server sent, the newest last. @type {(Sign & { said: Said })[]} */
  #learned = [];
  /** Periods in which other timings may be in force, because an answer was late or lost. @type {{ from: number, until: number }[]} */
  #unsure = [];
  /** Since when it is in background, as acknowledged; null: it is not. @type {Sign | null} */
  background = null;
  /** It may be in background, or not: an answer never came. Since then. @type {number | null} */
  backgroundUnsureSince = null;
  /** When the background was left, as acknowledged. */
  foreground = 0;
  /** When the last app states were acknowledged. @type {number[]} */
  appStateTimes = [];
  /** @type {Set<Plug>} */
  attachedSockets = new Set();
  /** When a socket that was attached came to its end, the last times. @type {number[]} */
  socketEnds = [];
  /** And of one that may have been, or not any more. @type {number[]} */
  possibleSocketEnds = [];
  /** What may attach a socket was sent. */
  lastAttachSent = 0;
  /** A logout has been sent. */
  isLoggingOut = false;

  /** @param {{ id: string, userId: string, platform: string, deviceId: string, token: string }} login */
  constructor({ id, userId, platform, deviceId, token }) {
    this.id = id;
    this.userId = userId;
    this.platform = platform;
    this.deviceId = deviceId;
    this.token = token;
  }

  /** Activity was sent. */
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

  /** When the server had received the last activity that it can have received by `at`, at the latest. @param {number} at */
  lastActivityReceivedBy(at) {
    let received = Math.max(0, ...this.#sent.filter((sent) => sent <= at));
    for (const { sent, acked } of this.acknowledgedActivity)
      if (sent <= at) received = Math.max(received, Math.min(acked, at));
    return received;
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
   * The policy rows whose timings the session may have received by then; none when that is too long ago.
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
   * The server has acknowledged an app state.
   * @param {string} appState
   * @param {number} sent
   * @param {number} acked
   */
  recordAppState(appState, sent, acked) {
    // App states that were sent before it and not acknowledged may have been applied as well.
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

  /** It sends an operation whose answer contains the timings. @param {number} sent */
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
