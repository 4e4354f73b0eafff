// Compares what a receiver is sent with the feed: every event that matches, in order, complete, signed, and
// again only when there is a cause.
import { Webhook } from 'standardwebhooks';
import { EVENT_FIELDS } from '../../support/user-history.js';
import { PATIENCE_MS } from './receiver.js';

/** Events of one request, but for the rest of a change. */
const BATCH = 100;
/** A delivery that was accepted this long ago is not sent again in any case. */
const REMEMBERED_MS = 600_000;
const FIELDS = [...EVENT_FIELDS.split(/\s+/), 'ipAddress'].sort();

/** @typedef {import('../../support/user-history.js').Event} Event */
/** @typedef {import('./receiver.js').Arrival} Arrival */
/** @typedef {{ event: Event, index: number, last: Arrival | null }} Expected */
/** @typedef {{ count: number, owed: Expected[], settledAt: number, latest: Expected | null }} User */
/** @typedef {{ arrival: Arrival, events: Event[], expected: Expected[] | null }} Request */

export class WebhookAudit {
  terms;
  /** Requests that were judged, and events that came for the first time. */
  requests = 0;
  events = 0;
  repeats = 0;
  /** Requests with as many events as there may be, or more. */
  full = 0;
  tests = 0;
  /** How many events must still be taken. */
  outstanding = 0;
  #world;
  #name;
  #lateness;
  /** Requests with events that the feed has not reached yet, and those behind them. @type {Request[]} */
  #waiting = [];
  /** @type {Map<Arrival, Request>} */
  #unsettled = new Map();
  /** @type {Map<string, User>} */
  #users = new Map();
  /** By cursor. @type {Map<string, Expected>} */
  #expected = new Map();
  /** By webhook-id, what was answered that bears on when it may come again. @type {Map<string, Arrival>} */
  #refused = new Map();

  /**
   * @param {import('../world.js').SoakWorld} world
   * @param {string} name
   * @param {import('./webhook-terms.js').WebhookTerms} terms
   * @param {import('../judge/journal.js').Histogram} lateness of events that came for the first time, after they happened
   */
  constructor(world, name, terms, lateness) {
    this.#world = world;
    this.#name = name;
    this.#lateness = lateness;
    this.terms = terms;
  }

  /** Adds events of the feed. @param {readonly Event[]} events */
  expectEvents(events) {
    if (this.terms.endAskedAt !== Infinity) return;
    for (const event of events) {
      const user = this.#user(event.userId);
      const expected = { event, index: user.count++, last: null };
      this.#expected.set(event.cursor, expected);
      if (!this.terms.mustDeliver(event)) continue;
      user.owed.push(expected);
      this.outstanding++;
    }
    this.#judgeAll();
  }

  /** It is asked for another filter: what that does not want may be left out from now on. @param {(event: Event) => boolean} isWanted */
  excuseMissing(isWanted) {
    for (const user of this.#users.values()) {
      const owed = user.owed.filter(({ event }) => isWanted(event));
      this.outstanding -= user.owed.length - owed.length;
      user.owed = owed;
    }
  }

  /** A request came. @param {Arrival} arrival */
  addRequest(arrival) {
    this.requests++;
    this.#checkSignature(arrival);
    /** @type {any} */
    let body;
    try {
      body = JSON.parse(arrival.body);
    } catch {
      return this.#violate('event', `is sent ${arrival.body.slice(0, 300)}`);
    }
    if (arrival.headers['content-type'] !== 'application/json')
      this.#violate('event', `is sent ${arrival.headers['content-type']}`);
    if (body.type === 'webhook.test') return this.#test(body);
    const { events } = body.data ?? {};
    if (body.type !== 'presence.events' || !Array.isArray(events) || events.length === 0)
      return this.#violate('event', `is sent ${arrival.body.slice(0, 300)}`);
    if (body.timestamp !== events.at(-1).occurredAt)
      this.#violate('event', `a request says ${body.timestamp}, its last event ${events.at(-1).occurredAt}`);
    this.#size(events);
    /** @type {Request} */
    const request = { arrival, events, expected: null };
    this.#unsettled.set(arrival, request);
    this.#waiting.push(request);
    this.#judgeAll();
  }

  /** It is known what became of it. @param {Arrival} arrival */
  settleRequest(arrival) {
    if (arrival.outcome === 'refused') {
      const id = String(arrival.headers['webhook-id']);
      if (arrival.notBefore > 0) this.#refused.set(id, arrival);
    }
    const request = this.#unsettled.get(arrival);
    if (request?.expected == null) return;
    this.#settled(request);
  }

  /** What has waited for the feed for too long. @param {number} before */
  reportOverdue(before) {
    // The feed has stopped.
    if (this.terms.endAskedAt !== Infinity) this.#waiting = [];
    const first = this.#waiting[0];
    if (first === undefined || first.arrival.at > before) return;
    for (const event of first.events) {
      if (this.#expected.has(event.cursor)) continue;
      this.#violate('event', `is sent what the feed does not say: ${JSON.stringify(event)}`, event.userId);
    }
    first.events = first.events.filter(({ cursor }) => this.#expected.has(cursor));
    this.#judgeAll();
  }

  /** Drops what was accepted long ago. */
  forget() {
    const before = Date.now() - REMEMBERED_MS;
    for (const [id, { at }] of this.#refused) if (at < before) this.#refused.delete(id);
    for (const [cursor, { event, last }] of this.#expected) {
      const since = last === null ? Date.parse(event.occurredAt) : last.at;
      if (since > before) return;
      if (last?.outcome === 'taken' || this.#users.get(event.userId)?.owed.length === 0) this.#expected.delete(cursor);
    }
  }

  /** What happened before that moment and was not taken. @param {number} before */
  missing(before) {
    return [...this.#users.values()].flatMap(({ owed }) =>
      owed.filter(({ event }) => Date.parse(event.occurredAt) < before),
    );
  }

  /** @param {string} userId */
  #user(userId) {
    let user = this.#users.get(userId);
    if (user === undefined) this.#users.set(userId, (user = { count: 0, owed: [], settledAt: 0, latest: null }));
    return user;
  }

  /** @param {Arrival} arrival */
  #checkSignature({ headers, body, at }) {
    const second = Number(headers['webhook-timestamp']) * 1_000;
    if (!/^\d+$/.test(String(headers['webhook-timestamp'])) || second > at)
      return this.#violate('signature', `is sent the webhook-timestamp ${headers['webhook-timestamp']}`);
    const { must, may, not, isUnsure } = this.terms.secretsIn(second);
    const signatures = String(headers['webhook-signature']).split(' ').length;
    const signs = (/** @type {string} */ secret) => isSigned(secret, body, headers);
    const signing = may.filter(signs);
    if (!must.every((secret) => signing.includes(secret)))
      this.#violate('signature', `one of the ${must.length} secrets in force has not signed what is sent`);
    if (isUnsure) this.#world.journal.count('webhooks: a secret whose answer was lost');
    else if (signing.length === 0) this.#violate('signature', 'no secret in force has signed what is sent');
    else if (signing.length !== signatures)
      this.#violate('signature', `${signatures} signatures, of which ${signing.length} are right`);
    if (not.some(signs)) this.#violate('signature', 'a secret that is not in force signs what is sent');
    if (this.terms.mustNotDeliver(second))
      this.#violate('silence', `is sent something in ${new Date(second).toISOString()}, though nothing may be`);
    const refused = this.#refused.get(String(headers['webhook-id']));
    // Either side counts whole milliseconds, each from a moment of its own.
    if (refused !== undefined && at < refused.notBefore - 1 && !this.#mayRetryEarly(refused, at))
      this.#violate('retry', `comes ${refused.notBefore - at} ms before what Retry-After said`);
  }

  /** The webhook was changed, or the server forgot the failure. @param {Arrival} refused @param {number} at */
  #mayRetryEarly(refused, at) {
    return this.terms.changedAt >= refused.at - PATIENCE_MS || this.#restarted(refused.at, at);
  }

  /** @param {any} body */
  #test(body) {
    this.tests++;
    if (JSON.stringify(body.data) !== '{}') this.#violate('event', `is sent the test ${JSON.stringify(body)}`);
  }

  /** @param {readonly Event[]} events */
  #size(events) {
    const lastChange = events.at(-1)?.changeId;
    const before = events.findIndex(({ changeId }) => changeId === lastChange);
    if (events.length >= BATCH) this.full++;
    if (before >= BATCH)
      this.#violate('batch', `is sent ${events.length} events at once, ${before} before the last change`);
  }

  #judgeAll() {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || !first.events.every(({ cursor }) => this.#expected.has(cursor))) return;
      this.#waiting.shift();
      this.#judge(first);
    }
  }

  /** @param {Request} request */
  #judge(request) {
    const { arrival, events } = request;
    const all = events.map(({ cursor }) => /** @type {Expected} */ (this.#expected.get(cursor)));
    const cursors = new Set(events.map(({ cursor }) => cursor));
    const changes = new Set(events.map(({ changeId }) => changeId));
    events.forEach((event, at) => this.#compareEvent(event, /** @type {Expected} */ (all[at]).event));
    /** @type {Map<string, Expected>} */
    const lasts = new Map();
    for (const expected of all) {
      const { userId } = expected.event;
      if (expected.index <= (lasts.get(userId)?.index ?? -1))
        this.#violate('order', `within a request: ${JSON.stringify(expected.event)}`, userId);
      lasts.set(userId, expected);
      this.#judgeEvent(expected, arrival, cursors);
    }
    for (const [userId, last] of lasts) {
      const { owed } = this.#user(userId);
      for (const { event, index } of owed) {
        if (index > last.index && !changes.has(event.changeId)) break;
        if (cursors.has(event.cursor)) continue;
        const what = changes.has(event.changeId) ? 'split' : 'order';
        const words = what === 'split' ? 'is sent a change without this' : 'is sent what came after this';
        this.#violate(what, `${words}: ${JSON.stringify({ missing: event, sent: last.event })}`, userId);
      }
    }
    request.expected = all;
    if (arrival.outcome !== null) this.#settled(request);
  }

  /** @param {Expected} expected @param {Arrival} arrival @param {ReadonlySet<string>} cursors of its request */
  #judgeEvent(expected, arrival, cursors) {
    const { event, last } = expected;
    const user = this.#user(event.userId);
    if (last === null) {
      this.events++;
      this.#lateness.add(arrival.at - Date.parse(event.occurredAt));
      if (!this.terms.mayDeliver(event, arrival.at))
        this.#violate('filter', `is sent what is not wanted: ${JSON.stringify(event)}`, event.userId);
      if (arrival.at < user.settledAt)
        this.#violate('order', `comes before what was before it was taken: ${JSON.stringify(event)}`, event.userId);
      const { latest } = user;
      if (latest !== null && expected.index < latest.index && !cursors.has(latest.event.cursor))
        if (latest.last === null || !this.#restarted(latest.last.at, arrival.at))
          this.#violate('order', `comes after ${latest.event.cursor}: ${JSON.stringify(event)}`, event.userId);
      if (latest === null || latest.index < expected.index) user.latest = expected;
    } else {
      this.repeats++;
      if (!this.#mayRepeat(last, arrival))
        this.#violate(
          'repeat',
          `is sent again what it had taken: ${JSON.stringify({ event, taken: last.at })}`,
          event.userId,
        );
    }
    expected.last = arrival;
  }

  /** @param {Arrival} last @param {Arrival} arrival */
  #mayRepeat({ outcome, at, settledAt }, arrival) {
    if (outcome !== 'taken' || this.#restarted(at, arrival.at)) return true;
    // The server's patience was over before it could see the answer, or the request was older than it seems.
    const wasPaused = (/** @type {string} */ kind) => kind === 'sleep' || kind === 'the soak itself lags';
    return this.#world.disturbances.between(at - PATIENCE_MS, settledAt, wasPaused);
  }

  /** @param {number} from @param {number} to */
  #restarted(from, to) {
    return this.#world.server.starts.some(({ endedAt }) => endedAt >= from && endedAt <= to);
  }

  /** @param {any} sent @param {any} fed */
  #compareEvent(sent, fed) {
    const names = Object.keys(sent).sort();
    const differs = FIELDS.filter((name) => sent[name] !== fed[name] || !(name in sent));
    if (differs.length > 0 || names.length !== FIELDS.length)
      this.#violate(
        'event',
        `${differs.join()}: is sent ${JSON.stringify(sent)}; feed: ${JSON.stringify(fed)}`,
        fed.userId,
      );
  }

  /** @param {Request} request */
  #settled({ arrival, expected }) {
    this.#unsettled.delete(arrival);
    if (arrival.outcome === 'refused') return;
    const taken = new Set(expected);
    for (const userId of new Set((expected ?? []).map(({ event }) => event.userId))) {
      const user = this.#user(userId);
      const owed = user.owed.filter((one) => !taken.has(one));
      if (owed.length < user.owed.length && arrival.outcome === 'taken') user.settledAt = arrival.settledAt;
      this.outstanding -= user.owed.length - owed.length;
      user.owed = owed;
    }
  }

  /** @param {string} what @param {string} words @param {string | null} [userId] */
  #violate(what, words, userId = null) {
    this.#world.journal.violate(`webhook ${what}`, `the webhook "${this.#name}" ${words}`, userId);
  }
}

/** @param {string} secret @param {string} body @param {import('node:http').IncomingHttpHeaders} headers */
function isSigned(secret, body, headers) {
  try {
    new Webhook(secret).verify(body, /** @type {Record<string, string>} */ (headers), { jsonParse: false });
    return true;
  } catch {
    return false;
  }
}
