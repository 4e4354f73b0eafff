/** Collects the findings of the doctor: each kind once, with its number and a few examples. */

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
  /** A warning will be fixed by the next start or by the running server. An error should not exist. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
  readonly count: number;
  /** The first few, as text for the operator's terminal. */
  readonly examples: readonly string[];
}

const DESCRIPTIONS: Readonly<Record<FindingId, string>> = {
  'schema-older': 'The schema is older than this version. The next start of a server migrates it.',
  'schema-newer': 'The schema is newer than this version of Porchlight. Only the newer version can serve it.',
  damaged: 'The file is damaged. Restore it from a backup.',
  'meta-value': 'A value in the table meta is missing or invalid.',
  'unknown-word': 'A column contains a value that this version does not know.',
  'log-hole': 'Events are missing from the log.',
  'change-broken': 'The events of one change are not consecutive.',
  'event-versions': 'The versions of a user do not increase by one with each change in the log.',
  'event-statuses': 'The previous status of an event differs from the status after the event before it.',
  'event-after-end': 'A session has an event after its end.',
  'log-and-user': 'The record of a user differs from their last event.',
  'user-without-row': 'A user is not OFFLINE according to the log, but has no record.',
  'session-without-user': 'A live session belongs to an unknown user.',
  'session-without-login': 'The LOGIN of a live session is missing from the log, although it should still be kept.',
  'sessions-and-user': 'The status of a user is not the highest status of their live sessions.',
  'webhook-value': 'A stored value of a webhook is invalid.',
  'shard-without-webhook': 'The position of a shard is stored, but its webhook does not exist.',
  'delivery-without-webhook': 'Deliveries of deleted webhooks exist. A running server removes them.',
  'deliveries-pending': 'A shard of a webhook has several pending deliveries.',
};

/** These are fixed without action by the operator. */
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
