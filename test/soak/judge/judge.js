// Compares what the feed says of a session with what its client knows: no session may end too early or too late.
import { Histogram } from './journal.js';
import { DISCONNECT_REASONS } from '../../support/user-history.js';
import { extremeTiming } from './client-session.js';
import { endedByLogin } from './policies.js';

/** Clocks of two processes of one machine, both in whole milliseconds, and the way of a message between them. */
const SKEW_MS = 12;
/** A timeout may be a second late. The feed and this process add their own delay. */
const LATE_MS = 1_000;
const SLACK_MS = 500;
const NEVER_MS = 4_000;
/** Ten seconds, and what a disk may add that is slow. */
const FORGOTTEN_MS = 20_000;
/** A server that waited too long for a core before the deadline had paused. */
const LOOKS_BACK_MS = 20_000;
/** The server may take a shorter sleep for a busy moment. */
const NOTICED_MS = 1_100;

/** @typedef {import('../../support/user-history.js').Event} Event */
/** @typedef {import('./client-session.js').ClientSession} Known */
/** @typedef {import('./policies.js').Row} Row */

export class Judge {
  #world;
  /** Sessions that should have been given up on, and were not. @type {Set<string>} */
  #reportedExplanations = new Set();
  lateness = {
    HEARTBEAT_TIMEOUT: new Histogram(),
    BACKGROUND_TIMEOUT: new Histogram(),
    DISCONNECT: new Histogram(),
    PUSH_EXPIRED: new Histogram(),
  };
  /** Those that came as early as they may, in ms after the earliest moment. */
  margin = { HEARTBEAT_TIMEOUT: new Histogram(), BACKGROUND_TIMEOUT: new Histogram(), DISCONNECT: new Histogram() };

  /** @param {import('../world.js').SoakWorld} world */
  constructor(world) {
    this.#world = world;
    world.model.before = (user, change) => this.#judgeChange(user, change);
  }

  /** @param {import('./feed-model.js').User} user @param {readonly Event[]} change */
  #judgeChange(user, change) {
    const first = /** @type {Event} */ (change[0]);
    const at = Date.parse(first.occurredAt);
    if (first.reason === 'LOGIN') this.#judgeLogin(user, change, at);
    else if (DISCONNECT_REASONS.includes(first.reason)) this.#judgeDrop(user, first, at);
    else if (first.reason === 'PUSH_EXPIRED') this.#judgeExpiry(user, first, at);
  }

  /** @param {import('./feed-model.js').User} user @param {readonly Event[]} change @param {number} at */
  #judgeLogin(user, change, at) {
    const { journal, policies } = this.#world;
    const first = /** @type {Event} */ (change[0]);
    const sessions = [...user.life.liveSessions.values()];
    const idsOf = (/** @type {string} */ reason) =>
      change.flatMap((event) => (event.reason === reason ? [event.sessionId] : [])).join();
    if (policies.isUnsure) return;
    const candidates = policies.between(at - SKEW_MS, at + SKEW_MS);
    const fits = candidates.some((policy) => {
      const { kicked, replaced } = endedByLogin(sessions, first, policy);
      return (
        kicked.map(({ id }) => id).join() === idsOf('KICKED') &&
        replaced.map(({ id }) => id).join() === idsOf('REPLACED')
      );
    });
    if (!fits) {
      journal.violate(
        'multi-device',
        `no policy that may have been in force (${candidates.map(({ mode }) => mode).join(', ')}) ends these: ${JSON.stringify({ sessions, change })}`,
        first.userId,
      );
    }
  }

  /** @param {import('./feed-model.js').User} user @param {Event} event @param {number} at */
  #judgeDrop(user, event, at) {
    const { journal, policies, sessions, server } = this.#world;
    const known = sessions.get(event.sessionId);
    const can = policies.rows(event.platform, at - SKEW_MS, at + SKEW_MS).map(({ canBePushOnline }) => canBePushOnline);
    if (!policies.isUnsure && !can.includes(event.sessionStatus === 'PUSH_ONLINE')) {
      journal.violate(
        'platform',
        `${event.platform} became ${event.sessionStatus}: ${JSON.stringify(event)}`,
        event.userId,
      );
    }
    if (known === undefined) return;
    const rows = known.possiblePolicyRows(policies, at);
    // A policy change is in flight: its result is not known yet.
    if (rows.length === 0 || policies.isUnsure) return;
    const began = server.startAt(at)?.spawnedAt ?? 0;
    const sign = known.lastActivityAcknowledgedBefore(at - SKEW_MS);
    const early = (/** @type {number} */ earliest, /** @type {string} */ words) => {
      const margin = at - earliest;
      this.margin[/** @type {keyof Judge['margin']} */ (event.reason)].add(margin);
      if (margin < -SKEW_MS)
        journal.violate(
          'early',
          `${event.reason} ${-margin} ms early: ${words}; ${JSON.stringify(event)}`,
          event.userId,
        );
    };
    const late = (/** @type {number} */ latest) => this.#judgeLateness(event, at, latest, known);
    if (event.reason === 'HEARTBEAT_TIMEOUT') {
      const timeout = extremeTiming('min', rows, (row) => row.heartbeatTimeoutMs) ?? 0;
      early(
        this.#afterPauses(Math.max(sign, began), timeout),
        `last sign ${sign}, server since ${began}, timeout ${timeout}`,
      );
      const longest = extremeTiming('max', rows, (row) => row.heartbeatTimeoutMs) ?? 0;
      late(known.lastActivityReceivedBy(at) + longest);
    } else if (event.reason === 'BACKGROUND_TIMEOUT') {
      if (this.#mayHaveForgotten(known, at)) return;
      const limit = extremeTiming('min', rows, (row) => row.backgroundTimeoutMs);
      const entered = known.background?.sent ?? known.backgroundUnsureSince;
      if (entered !== null && entered > at) return;
      if (limit === null || entered === null) {
        if (known.foreground === 0 || known.foreground < at - SKEW_MS)
          journal.violate(
            'early',
            `BACKGROUND_TIMEOUT of one that is not in background, or has no limit: ${JSON.stringify(event)}`,
            event.userId,
          );
        return;
      }
      early(this.#afterPauses(Math.max(entered, began), limit), `in background since ${entered}, limit ${limit}`);
      if (this.#backgroundIsSure(known, at)) {
        const back = this.#lastReconnect(user, event.sessionId);
        late(
          Math.max(known.background?.acked ?? at, back) +
            (extremeTiming('max', rows, (row) => row.backgroundTimeoutMs) ?? 0),
        );
      }
    } else this.#judgeDisconnect(event, at, known, { rows, began, early, late });
  }

  /**
   * @param {Event} event
   * @param {number} at
   * @param {Known} known
   * @param {{ rows: Row[], began: number, early: (earliest: number, words: string) => void, late: (latest: number) => void }} also
   */
  #judgeDisconnect(event, at, known, { rows, began, early, late }) {
    const { journal } = this.#world;
    if (known.lastAttachSent < began) {
      journal.violate(
        'disconnect',
        `DISCONNECT of a session that had no socket since the start: ${JSON.stringify(event)}`,
        event.userId,
      );
      return;
    }
    const open = [...known.attachedSockets].find(
      ({ attached, closed, dropped }) => !dropped && attached < at - SKEW_MS && closed > at + SKEW_MS,
    );
    if (open !== undefined) {
      journal.violate(
        'disconnect',
        `DISCONNECT while a socket is open: ${JSON.stringify({ open, event })}`,
        event.userId,
      );
      return;
    }
    const last = (/** @type {readonly number[]} */ cuts) => Math.max(0, ...cuts.filter((when) => when <= at + SKEW_MS));
    const cut = last(known.socketEnds);
    const latestCut = Math.max(cut, last(known.possibleSocketEnds));
    if (latestCut === 0) {
      journal.violate('disconnect', `DISCONNECT though no socket was closed: ${JSON.stringify(event)}`, event.userId);
      return;
    }
    const sign = known.lastActivityAcknowledgedBefore(at - SKEW_MS);
    if (sign > latestCut + SKEW_MS && known.lastAttachSent < latestCut) {
      const words = JSON.stringify({ cut: latestCut, sign, event });
      journal.violate('disconnect', `DISCONNECT although activity came after the close: ${words}`, event.userId);
    }
    early(cut + (extremeTiming('min', rows, (row) => row.disconnectGraceMs) ?? 0), `cut at ${cut}`);
    late(latestCut + (extremeTiming('max', rows, (row) => row.disconnectGraceMs) ?? 0));
  }

  /** @param {import('./feed-model.js').User} user @param {Event} event @param {number} at */
  #judgeExpiry(user, event, at) {
    const { journal, policies } = this.#world;
    const session = user.life.liveSessions.get(event.sessionId);
    if (session === undefined || session.status !== 'PUSH_ONLINE') return;
    const expiries = policies
      .between(session.since - SKEW_MS, session.since + SKEW_MS)
      .map(({ pushOnlineExpiryMs }) => pushOnlineExpiryMs);
    const earliest = session.since + Math.min(...expiries);
    if (at < earliest)
      journal.violate(
        'early',
        `PUSH_EXPIRED ${earliest - at} ms early: ${JSON.stringify({ session, event })}`,
        event.userId,
      );
    this.#judgeLateness(event, at, session.since + Math.max(...expiries), null);
  }

  /** @param {Event} event @param {number} at @param {number} latest @param {Known | null} known */
  #judgeLateness(event, at, latest, known) {
    const { disturbances, journal, vitals } = this.#world;
    const since = known === null ? latest : Math.min(latest, known.lastActivityReceivedBy(at));
    if (disturbances.between(since - 1_000, at)) return;
    const late = at - latest;
    this.lateness[/** @type {keyof Judge['lateness']} */ (event.reason)].add(late);
    // What the machine did not let it do is not its fault.
    if (late > LATE_MS + SLACK_MS && late - vitals.waited(since, at) > LATE_MS + SLACK_MS)
      journal.violate('late', `${event.reason} ${late} ms late: ${JSON.stringify(event)}`, event.userId);
  }

  /**
   * When a session without activity since `from` may time out, if the time of process pauses is
   * no time.
   * @param {number} from
   * @param {number} timeout
   */
  #afterPauses(from, timeout) {
    let until = from + timeout;
    for (const { from: pausedAt, to } of this.#world.server.pauses) {
      if (to - pausedAt >= NOTICED_MS && pausedAt < until && to > from) until += to - Math.max(pausedAt, from);
    }
    return until;
  }

  /**
   * It is in background since a moment that is known, and the limit is the same since then: a new one may be over when
   * the answer arrives.
   * @param {Known} known
   * @param {number} at
   */
  #backgroundIsSure({ background, backgroundUnsureSince: backgroundUnsure, platform }, at) {
    if (background === null || backgroundUnsure !== null) return false;
    const { policies } = this.#world;
    const limits = policies.rows(platform, background.sent, at).map((row) => row.backgroundTimeoutMs);
    return !policies.isUnsure && new Set(limits).size === 1;
  }

  /**
   * App states are written every ten seconds: one that was sent shortly before a crash may be lost.
   * @param {Known} known
   * @param {number} at
   */
  #mayHaveForgotten(known, at) {
    return this.#world.server.starts.some(
      ({ how, endedAt }) =>
        how !== 'exit 0' &&
        endedAt <= at &&
        // A client that has reported FOREGROUND since is known to be in foreground.
        known.foreground <= endedAt &&
        known.appStateTimes.some((at) => at <= endedAt && at > endedAt - FORGOTTEN_MS),
    );
  }

  /** @param {import('./feed-model.js').User} user @param {string} sessionId */
  #lastReconnect(user, sessionId) {
    const session = user.life.liveSessions.get(sessionId);
    return session?.reason === 'RECONNECT' ? session.since : 0;
  }

  /** To be called now and then: those who should have been given up on by now. */
  checkOverdueTimeouts() {
    const { model, sessions, disturbances, journal, vitals } = this.#world;
    const calmSince = disturbances.calmSince();
    const now = Date.now();
    if (calmSince > now) return;
    for (const [userId, user] of model.users) {
      for (const session of user.life.liveSessions.values()) {
        if (this.#reportedExplanations.has(session.id)) continue;
        const latest = this.#latestDeadline(session, sessions.get(session.id), calmSince);
        const never = latest + LATE_MS + NEVER_MS;
        if (now > never && now > never + vitals.waited(latest - LOOKS_BACK_MS, now)) {
          this.#reportedExplanations.add(session.id);
          journal.violate(
            'never',
            `${session.status} for ${now - latest} ms longer than it may: ${JSON.stringify(session)}`,
            userId,
          );
        }
      }
    }
  }

  /**
   * @param {import('../../support/user-history.js').LiveSession} session
   * @param {Known | undefined} known
   * @param {number} calmSince
   */
  #latestDeadline(session, known, calmSince) {
    if (session.status === 'PUSH_ONLINE') {
      const expiries = this.#world.policies
        .between(session.since - SKEW_MS, session.since + SKEW_MS)
        .map(({ pushOnlineExpiryMs }) => pushOnlineExpiryMs);
      // A policy of long ago is not known any more.
      return expiries.length === 0 ? Infinity : Math.max(session.since + Math.max(...expiries), calmSince);
    }
    if (known === undefined) return Infinity;
    const rows = known.possiblePolicyRows(this.#world.policies, Date.now());
    const timeout = extremeTiming('max', rows, (row) => row.heartbeatTimeoutMs) ?? Infinity;
    const silent = Math.max(known.lastSentAt, known.lastAcknowledgedAt, calmSince, session.since) + timeout;
    if (!this.#backgroundIsSure(known, Date.now()) || this.#mayHaveForgotten(known, Date.now())) return silent;
    const limits = rows.map(({ backgroundTimeoutMs }) => backgroundTimeoutMs ?? Infinity);
    const hidden = Math.max(known.background?.acked ?? Infinity, session.since, calmSince) + Math.max(...limits);
    return Math.min(silent, hidden);
  }
}
