/** What is wrong with a database, collected while it is gone through: each kind once, counted, with a few examples. */

export type FindingId =
  | 'schema-older'
  | 'schema-newer'
  | 'damaged'
  | 'meta-value'
  | 'unknown-word'
  | 'log-hole'
  | 'change-broken'
  | 'event-versions'
  | 'event-statuses'
  | 'event-after-end'
  | 'log-and-user'
  | 'user-without-row'
  | 'session-without-user'
  | 'session-without-login'
  | 'sessions-and-user'
  | 'webhook-value'
  | 'shard-without-webhook'
  | 'delivery-without-webhook'
  | 'deliveries-pending';

export interface Finding {
  readonly id: FindingId;
  /** A warning says what the next start, or the server that runs, will change; an error, what should not be. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
  readonly count: number;
  /** The first few, as text for the operator's own terminal. */
  readonly examples: readonly string[];
}

const DESCRIPTIONS: Readonly<Record<FindingId, string>> = {
  'schema-older': 'The schema is that of an older version: the next start of a server brings it up to date.',
  'schema-newer': 'The schema is that of a newer version of Porchlight: only that one can serve it.',
  damaged: 'The file itself is damaged: restore it from a backup.',
  'meta-value': 'A value that the database keeps of itself is missing or makes no sense.',
  'unknown-word': 'A column has a word in it that this version does not know.',
  'log-hole': 'Events are missing in the log.',
  'change-broken': 'The events of a change do not stand together.',
  'event-versions': 'A user’s versions do not rise by one with each change along the log.',
  'event-statuses': 'An event does not begin with the status that the one before left.',
  'event-after-end': 'Something happened to a session after it had ended.',
  'log-and-user': 'The last event of a user is not what is shown of her.',
  'user-without-row': 'The log leaves a user present who is not known.',
  'session-without-user': 'A session lives whose user is OFFLINE or not known.',
  'session-without-login': 'A session lives whose LOGIN is not in the log, though it should be kept still.',
  'sessions-and-user': 'A user’s status is not the highest of her live sessions.',
  'webhook-value': 'Something that is kept of a webhook makes no sense.',
  'shard-without-webhook': 'How far a webhook was told is kept, but not the webhook.',
  'delivery-without-webhook':
    'Deliveries of webhooks that are not there any more: a server removes them while it runs.',
  'deliveries-pending': 'A shard of a webhook waits for several deliveries at once.',
};

/** They go away by themselves. */
const WARNING_IDS: readonly FindingId[] = ['schema-older', 'delivery-without-webhook'];

const MAX_EXAMPLES = 5;

export class Findings {
  readonly #byId = new Map<FindingId, { count: number; examples: string[] }>();

  addFinding(id: FindingId, example: string): void {
    const found = this.#byId.get(id) ?? { count: 0, examples: [] };
    found.count++;
    if (found.examples.length < MAX_EXAMPLES) found.examples.push(example);
    this.#byId.set(id, found);
  }

  get listFindings(): readonly Finding[] {
    return [...this.#byId].map(([id, { count, examples }]) => ({
      id,
      severity: WARNING_IDS.includes(id) ? 'warning' : 'error',
      what: DESCRIPTIONS[id],
      count,
      examples,
    }));
  }
}
