// A session as its own client knows it: which signs of life were sent and answered, and which sockets were open.

const SIGNS = 16;
const CUTS = 6;

/** @typedef {import('./policies.js').Row} Row */
/** @typedef {{ heartbeatTimeoutMs: number, heartbeatIntervalMs: number }} Said */
/** @typedef {{ sent: number, acked: number }} Sign */
/** @typedef {{ attachSent: number, attached: number, closed: number, dropped: boolean }} Plug */

export class Known {
  /** Acknowledged ones, the newest last. @type {Sign[]} */
  signs = [];
  /** When one was sent, the last times, answered or not. @type {number[]} */
  #sent = [];
  /** The timings that it was told, the newest last. @type {(Sign & { said: Said })[]} */
  #learned = [];
  /** It may have been told others in these times: an answer had not come, or never did. @type {{ from: number, until: number }[]} */
  #unsure = [];
  /** Since when it is in background, as acknowledged; null: it is not. @type {Sign | null} */
  background = null;
  /** It may be in background, or not: an answer never came. Since then. @type {number | null} */
  backgroundUnsure = null;
  /** When the background was left, as acknowledged. */
  foreground = 0;
  /** When an app state was told and acknowledged, the last times. @type {number[]} */
  told = [];
  /** @type {Set<Plug>} */
  plugs = new Set();
  /** When a socket that was attached came to its end, the last times. @type {number[]} */
  cuts = [];
  /** And of one that may have been, or not any more. @type {number[]} */
  maybeCuts = [];
  /** What may attach a socket was sent. */
  lastAttachSent = 0;
  /** The client has said farewell: a logout is under way. */
  leaving = false;

  /** @param {{ id: string, userId: string, platform: string, deviceId: string, token: string }} login */
  constructor({ id, userId, platform, deviceId, token }) {
    this.id = id;
    this.userId = userId;
    this.platform = platform;
    this.deviceId = deviceId;
    this.token = token;
  }

  /** A sign of life is on its way. */
  sends(at = Date.now()) {
    this.#sent.push(at);
    if (this.#sent.length > 2 * SIGNS) this.#sent.splice(0, SIGNS);
  }

  get lastSent() {
    return this.#sent.at(-1) ?? 0;
  }

  /** @param {number} sent */
  acked(sent, acked = Date.now()) {
    this.signs.push({ sent, acked });
    if (this.signs.length > SIGNS) this.signs.splice(0, SIGNS / 2);
  }

  /** The newest that was sent before that and acknowledged before that. @param {number} before */
  signBefore(before) {
    let sent = 0;
    for (const sign of this.signs) if (sign.acked <= before && sign.sent > sent) sent = sign.sent;
    return sent;
  }

  /** When the server had heard the last one that it can have heard by then, at the latest. @param {number} at */
  heardBy(at) {
    let heard = Math.max(0, ...this.#sent.filter((sent) => sent <= at));
    for (const { sent, acked } of this.signs) if (sent <= at) heard = Math.max(heard, Math.min(acked, at));
    return heard;
  }

  get lastAcked() {
    return this.signs.at(-1)?.acked ?? 0;
  }

  /** A socket is at its end. */
  cut({ wasAttached = true } = {}) {
    const cuts = wasAttached ? this.cuts : this.maybeCuts;
    cuts.push(Date.now());
    if (cuts.length > CUTS) cuts.shift();
  }

  /** @param {number} sent @returns {Plug} */
  plug(sent) {
    this.lastAttachSent = sent;
    const plug = { attachSent: sent, attached: Date.now(), closed: Infinity, dropped: false };
    for (const old of this.plugs) if (old.closed < sent - 60_000) this.plugs.delete(old);
    this.plugs.add(plug);
    return plug;
  }

  /**
   * The rows of the policy that it may have been told by then; none when that is too long ago.
   * @param {import('./policies.js').Policies} policies
   * @param {number} at
   * @returns {Row[]}
   */
  rows(policies, at) {
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
  tells(appState, sent, acked) {
    // Those told before it that were not acknowledged may have counted as well.
    const unsure = this.backgroundUnsure ?? sent;
    this.backgroundUnsure = null;
    this.told.push(acked);
    if (this.told.length > SIGNS) this.told.shift();
    if (appState === 'FOREGROUND') {
      this.background = null;
      this.foreground = acked;
    } else if (this.background === null) this.background = { sent: unsure, acked };
    else if (unsure < sent) this.background = { sent: this.background.sent, acked };
  }

  /** The answer says which timings it keeps from now on. @param {number} sent @param {Said} said */
  learn(sent, said, acked = Date.now()) {
    const { heartbeatTimeoutMs, heartbeatIntervalMs } = said;
    this.#learned.push({ sent, acked, said: { heartbeatTimeoutMs, heartbeatIntervalMs } });
    if (this.#learned.length > SIGNS) this.#learned.shift();
    const unsure = this.#unsure.at(-1);
    // What was asked for once and answered leaves no doubt.
    if (unsure?.from === sent) this.#unsure.pop();
    else if (unsure !== undefined) unsure.until = Math.min(unsure.until, acked);
  }

  /** It asks what will tell it the timings. @param {number} sent */
  asksForTimings(sent) {
    if (this.#unsure.at(-1)?.until === Infinity) return;
    this.#unsure.push({ from: sent, until: Infinity });
    if (this.#unsure.length > SIGNS) this.#unsure.shift();
  }
}

/**
 * The least or the most that one of them says; null when none says anything.
 * @param {'min' | 'max'} which
 * @param {readonly Row[]} rows
 * @param {(row: Row) => number | null} cell
 */
export function timing(which, rows, cell) {
  const values = rows.flatMap((row) => cell(row) ?? []);
  return values.length === 0 ? null : Math[which](...values);
}
