// One webhook and the backend that looks after it: makes it, changes what it wants, pauses it, gives it another secret,
// deletes it and makes it anew.
import { Buffer } from 'node:buffer';
import { ConnectionGone, NoAnswer } from '../clients/connection.js';
import { Histogram } from '../judge/journal.js';
import { ADDRESS, SoakReceiver, REDIRECTED } from './receiver.js';
import { sleep } from '../time.js';
import { WebhookAudit } from './webhook-audit.js';
import { WebhookTerms, matchesFilter } from './webhook-terms.js';
import { RequestRefused } from '../world.js';

/** @typedef {import('../world.js').SoakWorld} World */
/** @typedef {import('./webhook-terms.js').Filter} Filter */
/** @typedef {import('../random.js').Random} Random */
/** How often what happens, one against the other. @typedef {Readonly<Record<keyof typeof ACTS, number>>} Habits */

const ALL = { reasons: null, userStatusOnly: false };
const REASONS = ['LOGIN', 'LOGOUT', 'KICKED', 'REPLACED', 'REVOKED', 'RECONNECT', 'DISCONNECT', 'HEARTBEAT_TIMEOUT'];
REASONS.push('BACKGROUND_TIMEOUT', 'PUSH_EXPIRED', 'CUSTOM_STATUS');
const UPDATE = 'mutation ($input: UpdateWebhookInput!) { updateWebhook(input: $input) { webhook { id } secret } }';
const CREATE = 'mutation ($input: CreateWebhookInput!) { createWebhook(input: $input) { webhook { id } secret } }';
const DELETE = 'mutation ($input: DeleteWebhookInput!) { deleteWebhook(input: $input) { webhook { id } } }';
/** How a receiver is when it is not well. */
const TROUBLES = { flaky: 6, refuse: 2, busy: 2, hang: 2, cut: 2, half: 1, redirect: 1, slow: 1 };
const LISTENS_AGAIN_WITHIN_MS = 20_000;

export class WebhookOwner {
  receiver;
  name;
  lateness = new Histogram();
  /** Of those that were deleted. */
  previousAudits = { requests: 0, events: 0, repeats: 0, full: 0 };
  audit;
  /** When the last request came. */
  requestedAt = 0;
  #world;
  #random;
  #habits;
  /** Those that are paths of this receiver's URL. @type {Map<string, WebhookAudit>} */
  #audits = new Map();
  #id = '';
  #generation = 0;
  #manner;

  /**
   * @param {World} world
   * @param {string} name
   * @param {{ filter?: Filter, habits: Partial<Habits>, manner?: import('./receiver.js').Manner }} options manner: how its receiver is by itself
   */
  constructor(world, name, { filter = ALL, habits, manner = 'good' }) {
    this.#world = world;
    this.name = name;
    this.#random = world.random(`webhook ${name}`);
    this.#habits = { ...NEVER, ...habits };
    this.#manner = manner;
    this.audit = new WebhookAudit(world, name, new WebhookTerms(filter), this.lateness);
    this.receiver = new SoakReceiver(world.random(`receiver ${name}`));
    this.receiver.onArrival = (arrival) => this.#arrived(arrival);
    this.receiver.onSettled = (arrival) => this.#audits.get(arrival.path)?.settleRequest(arrival);
  }

  get url() {
    return `http://${ADDRESS}:${this.receiver.port}${this.#path}`;
  }

  get #path() {
    return `/${encodeURIComponent(this.name)}/${this.#generation}`;
  }

  /** @param {import('./receiver.js').Arrival} arrival */
  #arrived(arrival) {
    const { journal } = this.#world;
    const audit = this.#audits.get(arrival.path);
    this.requestedAt = arrival.at;
    if (arrival.path === REDIRECTED)
      journal.violate('webhook redirect', `"${this.name}" was followed to ${REDIRECTED}`);
    // The webhook may exist, but the answer with its secret was lost.
    else if (audit === undefined || audit.terms.madeAt === Infinity)
      journal.count('webhooks: requests of one whose creation was not answered');
    else audit.addRequest(arrival);
  }

  async open() {
    await this.receiver.open();
    this.receiver.manner = this.#manner;
    await this.#createWebhook(this.audit.terms.filter);
  }

  /** Until all fall quiet; then all is well with it. */
  async run() {
    const random = this.#random;
    const { pauses } = this.#world;
    // Each of them once, so that a short run has had them all.
    const first = Object.keys(ACTS).filter((act) => this.#habits[/** @type {keyof Habits} */ (act)] > 0);
    for (let acts = 0; !this.#world.changesStopped; acts++) {
      await pauses.pause(random.between(500, 4_000));
      if (this.#world.changesStopped) break;
      const act = /** @type {keyof Habits} */ (first[acts] ?? random.weighted(this.#habits));
      this.#world.journal.count(`webhooks: ${act}`);
      await ACTS[act](this, random);
    }
    this.receiver.manner = 'good';
    // What has failed often waits for up to an hour by now: a changed webhook is tried at once.
    await ACTS.secret(this, random);
  }

  /** @param {Filter} filter */
  async #createWebhook(filter) {
    const { server } = this.#world;
    for (;;) {
      this.#generation++;
      this.audit = new WebhookAudit(this.#world, this.name, new WebhookTerms(filter), this.lateness);
      this.#audits.set(this.#path, this.audit);
      const since = Date.now();
      try {
        const secret = this.#random.chance(0.5) ? this.#newSecret() : undefined;
        const { createWebhook } = await this.#world.backend(CREATE, { input: { url: this.url, secret, ...filter } });
        this.#id = createWebhook.webhook.id;
        this.audit.terms.addSecret(createWebhook.secret);
        this.#world.secrets.add(createWebhook.secret);
        if (secret !== undefined && createWebhook.secret !== secret)
          this.#world.journal.violate('webhook secret', `"${this.name}" has another secret than was asked for`);
        return;
      } catch (error) {
        // It may exist, but its id is not known.
        this.audit.terms.endAskedAt = since;
        this.#reportFailure(error, since);
        if (!server.isUp) await server.up();
        await this.#deleteLost(this.url);
      }
    }
  }

  /** @param {string} url */
  async #deleteLost(url) {
    const { webhooks } = await this.#retryUntil('{ webhooks { id url } }', {});
    for (const webhook of webhooks) if (webhook.url === url) await this.#delete(webhook.id);
  }

  /** @param {string} id */
  async #delete(id) {
    // The answer of the first time may have been lost.
    await this.#retryUntil(DELETE, { input: { id } }, /There is no webhook/);
  }

  async renew() {
    const { terms } = this.audit;
    terms.endAskedAt = Date.now();
    await this.#delete(this.#id);
    terms.endedAt = Date.now();
    for (const name of /** @type {const} */ (['requests', 'events', 'repeats', 'full']))
      this.previousAudits[name] += this.audit[name];
    await sleep(this.#random.between(0, 1_000));
    await this.#createWebhook(terms.filter);
  }

  /** @param {Filter} filter */
  async changeFilter(filter) {
    this.audit.excuseMissing((event) => matchesFilter(filter, event));
    const answered = this.audit.terms.changeFilter(filter);
    await this.#update(filter);
    answered();
  }

  /** @param {boolean} isMade the server makes it @param {number} validMs for the one before */
  async changeSecret(isMade, validMs) {
    const { terms } = this.audit;
    let previousSecretValidMs = validMs;
    if (isMade) {
      const answered = terms.changeSecret(null, validMs);
      const since = Date.now();
      try {
        const input = { id: this.#id, rotateSecret: true, previousSecretValidMs };
        const { updateWebhook } = await this.#world.backend(UPDATE, { input });
        this.#world.secrets.add(updateWebhook.secret);
        return answered(updateWebhook.secret);
      } catch (error) {
        // The secret is lost: the webhook gets a new one, and no second one beside it.
        this.#reportFailure(error, since);
        previousSecretValidMs = 0;
      }
    }
    const secret = this.#newSecret();
    const answered = terms.changeSecret(secret, previousSecretValidMs);
    await this.#retryUntil(
      UPDATE,
      { input: { id: this.#id, secret, previousSecretValidMs } },
      /secret is the current one/,
    );
    answered(secret);
  }

  /** @param {number} forMs */
  async pause(forMs) {
    await this.#update({ enabled: false });
    this.audit.terms.pause();
    await this.#world.pauses.pause(forMs);
    await this.#resume();
  }

  async #resume() {
    this.audit.terms.resumes();
    await this.#update({ enabled: true });
  }

  /** The receiver answers 410, until the webhook is enabled again. */
  async answerGone() {
    const { receiver } = this;
    receiver.manner = 'gone';
    const since = Date.now();
    for (let state = 'ACTIVE'; state !== 'GONE'; await sleep(200)) {
      ({ state } = (
        await this.#retryUntil('query ($id: ID!) { webhook(id: $id) { state } }', { id: this.#id })
      ).webhook);
      // There may be no event to deliver.
      if (state !== 'GONE' && Date.now() - since > LISTENS_AGAIN_WITHIN_MS) break;
      if (state === 'GONE') this.audit.terms.pause();
    }
    await this.#world.pauses.pause(this.#random.between(0, 3_000));
    receiver.manner = this.#manner;
    await this.#resume();
  }

  /** @param {number} forMs */
  async failReceiver(forMs) {
    this.receiver.manner = this.#random.weighted(TROUBLES);
    await this.#world.pauses.pause(forMs);
    this.receiver.manner = this.#manner;
  }

  /** @param {number} forMs */
  async stopReceiver(forMs) {
    await this.receiver.close();
    await this.#world.pauses.pause(forMs);
    await this.receiver.open();
  }

  async test() {
    const { journal } = this.#world;
    const since = Date.now();
    const before = this.audit.tests;
    try {
      const { testWebhook } = await this.#world.backend(
        'mutation ($input: TestWebhookInput!) { testWebhook(input: $input) { delivery { status lastStatus isTest } } }',
        { input: { id: this.#id } },
      );
      const { status, isTest } = testWebhook.delivery;
      if (!isTest || (status === 'DELIVERED' && this.audit.tests === before))
        journal.violate('webhook test', `"${this.name}": ${JSON.stringify(testWebhook)}, and nothing came`);
    } catch (error) {
      this.#reportFailure(error, since);
    }
  }

  /** What the server says of it, now that nothing is done to it: it is as it was agreed on, and nothing is left. */
  async checkDeliveries() {
    const { webhook } = await this.#retryUntil(
      'query ($id: ID!) { webhook(id: $id) { url state reasons userStatusOnly } }',
      { id: this.#id },
    );
    const expected = { url: this.url, state: 'ACTIVE', ...this.audit.terms.filter };
    if (JSON.stringify(webhook) !== JSON.stringify(expected))
      this.#world.journal.violate('webhook', `"${this.name}" is ${JSON.stringify(webhook)}`);
    return this.#retryUntil(
      `query ($id: ID!) {
        dead: webhookDeliveries(status: DEAD, webhookId: $id, first: 500) { nodes { id isTest eventCount lastError } }
        retrying: webhookDeliveries(status: RETRYING, webhookId: $id) { nodes { id attempts lastError } } }`,
      { id: this.#id },
    );
  }

  /** @param {object} change */
  async #update(change) {
    await this.#retryUntil(UPDATE, { input: { id: this.#id, ...change } });
  }

  /**
   * Asks until it is answered: what is asked for may be so already.
   * @param {string} query
   * @param {object} variables
   * @param {RegExp} [isSo] the error that says that it is
   */
  async #retryUntil(query, variables, isSo) {
    for (let tries = 1; ; tries++) {
      const since = Date.now();
      try {
        return await this.#world.backend(query, variables);
      } catch (error) {
        if (tries > 1 && error instanceof RequestRefused && isSo?.test(error.message) === true) return null;
        this.#reportFailure(error, since);
        if (!this.#world.server.isUp) await this.#world.server.up();
        await sleep(200);
      }
    }
  }

  /** @param {unknown} error @param {number} since */
  #reportFailure(error, since) {
    if (error instanceof ConnectionGone || error instanceof NoAnswer)
      return this.#world.reportError(error, `webhook ${this.name}`, since, null);
    if (error instanceof RequestRefused && error.code === 'OVERLOADED') return;
    throw error;
  }

  #newSecret() {
    const secret = `whsec_${Buffer.from(Array.from({ length: 32 }, () => this.#random.int(256))).toString('base64')}`;
    this.#world.secrets.add(secret);
    return secret;
  }
}

const ACTS = {
  /** @param {WebhookOwner} owner @param {Random} random */
  filter(owner, random) {
    const reasons = random.chance(0.3) ? null : random.some(REASONS, random.between(1, REASONS.length));
    return owner.changeFilter({ reasons, userStatusOnly: random.chance(0.3) });
  },
  /** @param {WebhookOwner} owner @param {Random} random */
  pause: (owner, random) => owner.pause(random.between(1_000, 12_000)),
  /** @param {WebhookOwner} owner @param {Random} random */
  secret: (owner, random) => owner.changeSecret(random.chance(0.5), random.pick([0, 5_000, 10_000, 86_400_000])),
  /** @param {WebhookOwner} owner */
  renew: (owner) => owner.renew(),
  /** @param {WebhookOwner} owner */
  gone: (owner) => owner.answerGone(),
  /** @param {WebhookOwner} owner @param {Random} random */
  trouble: (owner, random) => owner.failReceiver(random.between(500, 6_000)),
  /** @param {WebhookOwner} owner @param {Random} random */
  die: (owner, random) => owner.stopReceiver(random.between(200, 6_000)),
  /** @param {WebhookOwner} owner */
  test: (owner) => owner.test(),
};

const NEVER = { filter: 0, pause: 0, secret: 0, renew: 0, gone: 0, trouble: 0, die: 0, test: 0 };
