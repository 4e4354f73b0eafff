// All webhooks of a soak: one whose receiver is well, one whose is not, one that is changed, one that is made anew.
import { waitUntil } from '../time.js';
import { WebhookOwner } from './webhook-owner.js';

/** @typedef {import('../world.js').SoakWorld} World */

/** An empty queue within a short time: a webhook that failed several times in a row waits for up to half a minute. */
const DRAINED_WITHIN_MS = 120_000;
/** No webhook sends anything for this long, except retries. */
const SILENT_MS = 10_000;
/** The feed has reached by then what a receiver was sent. */
const FEED_WITHIN_MS = 15_000;

export class SoakWebhooks {
  #world;
  #owners;
  /** Something was left when it was looked last: it is not waited for once more. */
  #isLeft = false;
  /** @type {Promise<unknown>} */
  #lives = Promise.resolve();

  /** @param {World} world */
  constructor(world) {
    this.#world = world;
    this.#owners = [
      new WebhookOwner(world, 'healthy', { habits: { secret: 3, test: 2 } }),
      new WebhookOwner(world, 'troubled', { manner: 'flaky', habits: { trouble: 8, die: 3, secret: 1 } }),
      new WebhookOwner(world, 'changing', { manner: 'slow', habits: { filter: 6, pause: 3, secret: 2, trouble: 2 } }),
      new WebhookOwner(world, 'renewed', {
        filter: { reasons: null, userStatusOnly: true },
        manner: 'flaky',
        habits: { renew: 3, gone: 2, trouble: 2 },
      }),
    ];
  }

  async open() {
    for (const owner of this.#owners) await owner.open();
  }

  /** Their owners are busy with them until all fall quiet. */
  run() {
    this.#lives = Promise.all(
      this.#owners.map((owner) =>
        owner
          .run()
          .catch((error) => this.#world.reportError(error, `the owner of the webhook ${owner.name}`, Date.now(), null)),
      ),
    );
  }

  /** Resolves when no webhook is being changed any more. */
  settled() {
    return this.#lives;
  }

  /** Adds events of the feed. @param {readonly import('../../support/user-history.js').Event[]} events */
  addEvents(events) {
    for (const { audit } of this.#owners) audit.expectEvents(events);
  }

  /** To be called now and then, when the feed has not been disturbed for a while. */
  checkDeliveries() {
    for (const { audit } of this.#owners) {
      audit.reportOverdue(Date.now() - FEED_WITHIN_MS);
      audit.forget();
    }
  }

  /** Whatever is wanted and has happened by now is taken, and nothing is dead. @param {string} when */
  async drained(when) {
    const { journal } = this.#world;
    const before = Date.now();
    const missing = (/** @type {WebhookOwner} */ { audit }) => audit.missing(before);
    const isDrained = await waitUntil(
      async () => {
        const areMissing = this.#owners.some((owner) => missing(owner).length > 0);
        const isSilent = this.#owners.every(({ requestedAt }) => requestedAt < Date.now() - SILENT_MS);
        if (areMissing && !isSilent) return false;
        // A delivery that was composed is still delivered after its filter changed.
        for (const owner of this.#owners) if ((await owner.checkDeliveries()).retrying.nodes.length > 0) return false;
        // If an event is missing, no webhook is about to send it.
        return true;
      },
      this.#isLeft ? SILENT_MS : DRAINED_WITHIN_MS,
      250,
    );
    this.#isLeft = !isDrained;
    journal.count(`webhooks: ms until all was taken, ${when}`, Date.now() - before);
    for (const owner of this.#owners) {
      const left = missing(owner);
      for (const { event, last } of left.slice(0, 3)) {
        const how = last === null ? 'was never sent' : 'was sent and not taken, and never again';
        journal.violate(
          'webhook missing',
          `${when}: "${owner.name}" ${how}, one of ${left.length}: ${JSON.stringify(event)}`,
          event.userId,
        );
      }
      owner.audit.reportOverdue(Infinity);
      const { dead, retrying } = await owner.checkDeliveries();
      for (const delivery of dead.nodes)
        if (!delivery.isTest) journal.violate('webhook DEAD', `${when}: "${owner.name}": ${JSON.stringify(delivery)}`);
      for (const delivery of retrying.nodes)
        journal.violate('webhook missing', `${when}: "${owner.name}" is left with ${JSON.stringify(delivery)}`);
    }
  }

  async close() {
    for (const { receiver } of this.#owners) await receiver.close();
  }

  summary() {
    return this.#owners.map(({ name, audit, previousAudits: past, lateness, receiver }) => ({
      name,
      requests: past.requests + audit.requests,
      full: past.full + audit.full,
      events: past.events + audit.events,
      repeats: past.repeats + audit.repeats,
      lateMs: lateness.summary(),
      manners: Object.fromEntries(receiver.manners),
    }));
  }
}
