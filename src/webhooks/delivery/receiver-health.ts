/** Says once that a receiver has begun to fail, and once that it takes things again, however many attempts lie between. */
import type { Attempt, Lease } from '../../app/ports/webhook-store.ts';
import type { WebhookId } from '../../core/ids.ts';
import type { Shard } from '../../core/webhooks/webhook.ts';
import type { Settled } from './attempt-outcome.ts';

/** One that fails now and then, and takes the same at once when it comes again, is not worth a word. */
const FAILURES_IN_A_ROW = 3;

/** Without its URL, which may have secrets in it. */
export interface ReceiverNews {
  readonly webhook: WebhookId;
  /** Of the answer that it became clear by; null: there was none. */
  readonly status: number | null;
  /** Null: it has taken what it was sent. */
  readonly reason: string | null;
}

interface Failing {
  /** Those whose next delivery it does not take. */
  readonly shards: Set<Shard>;
  hasGivenUp: boolean;
}

export class Receivers {
  readonly #tell: (what: string, news: ReceiverNews) => void;
  /** That they fail was said. */
  readonly #failing = new Map<WebhookId, Failing>();

  constructor(tell: (what: string, news: ReceiverNews) => void) {
    this.#tell = tell;
  }

  /** An attempt is over. Those to redeliver say nothing of a receiver: each goes its own way, and may be what fails. */
  attempted({ webhookId, shard }: Lease, attempt: Attempt, { delivery, failures, isGone }: Settled): void {
    if (shard === null || isGone) return;
    const news = newsOf(webhookId, attempt);
    if (attempt.error === null) this.#takes(shard, news);
    else if (delivery.status === 'DEAD') this.#givesUp(shard, news);
    else if (failures >= FAILURES_IN_A_ROW) this.#fails(news).shards.add(shard);
  }

  gone(webhookId: WebhookId, attempt: Attempt): void {
    this.#tell(
      'A webhook’s receiver is gone: it is told nothing more until it is enabled.',
      newsOf(webhookId, attempt),
    );
  }

  /** Somebody else delivers the shard from now on. */
  forget({ webhookId, shard }: Lease): void {
    const failing = this.#failing.get(webhookId);
    if (failing === undefined || shard === null || !failing.shards.delete(shard)) return;
    if (failing.shards.size === 0) this.#failing.delete(webhookId);
  }

  /** Of the others nothing is heard any more. */
  keepOnly(isThere: (id: WebhookId) => boolean): void {
    for (const id of this.#failing.keys()) if (!isThere(id)) this.#failing.delete(id);
  }

  #fails(news: ReceiverNews): Failing {
    const known = this.#failing.get(news.webhook);
    if (known !== undefined) return known;
    const failing: Failing = { shards: new Set(), hasGivenUp: false };
    this.#failing.set(news.webhook, failing);
    this.#tell('A webhook’s receiver does not take what it is sent; it is tried again.', news);
    return failing;
  }

  /** The shard goes on, but that is no sign that the receiver is well. */
  #givesUp(shard: Shard, news: ReceiverNews): void {
    const failing = this.#fails(news);
    failing.shards.delete(shard);
    if (failing.hasGivenUp) return;
    failing.hasGivenUp = true;
    this.#tell('Deliveries of a webhook are given up; they can be redelivered.', news);
  }

  #takes(shard: Shard, news: ReceiverNews): void {
    const failing = this.#failing.get(news.webhook);
    if (failing === undefined) return;
    failing.shards.delete(shard);
    if (failing.shards.size > 0) return;
    this.#failing.delete(news.webhook);
    this.#tell('A webhook’s receiver takes what it is sent again.', news);
  }
}

const newsOf = (webhook: WebhookId, { status, error }: Attempt): ReceiverNews => ({ webhook, status, reason: error });
