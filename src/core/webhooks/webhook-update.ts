/** What becomes of a webhook that is changed. It is checked here: either all of a change holds, or none. */
import { badUserInput } from '../errors.ts';
import { later, type Millis } from '../ids.ts';
import type { EventReason, WebhookFormat } from '../enums.ts';
import { checkedSecret, isStandardSecret } from './webhook-secret.ts';
import type { WebhookRecord } from './webhook.ts';

/** A change of a webhook; what is left out stays. */
export interface WebhookChange {
  readonly url?: string | undefined;
  readonly format?: WebhookFormat | undefined;
  /** Null: events with any. */
  readonly reasons?: readonly EventReason[] | null | undefined;
  readonly userStatusOnly?: boolean | undefined;
  /** True: ACTIVE, whatever it was; false: PAUSED. */
  readonly enabled?: boolean | undefined;
  /** Null: requests are not signed any more, which only TENCENT allows. */
  readonly secret?: string | null | undefined;
  /** For how long a secret that is replaced signs beside the new one. */
  readonly previousSecretValidMs: number;
}

const DAY_MS = 86_400_000;
export const DEFAULT_PREVIOUS_SECRET_VALID_MS = DAY_MS;
const MAX_PREVIOUS_SECRET_VALID_MS = 30 * DAY_MS;

/** @throws BAD_USER_INPUT for no reasons at all, or one twice. */
export const checkedReasons = (reasons: readonly EventReason[] | null): readonly EventReason[] | null => {
  if (reasons === null) return null;
  if (reasons.length === 0) throw badUserInput('reasons is empty; null, or left out, is all of them.');
  const twice = reasons.find((reason, index) => reasons.indexOf(reason) !== index);
  if (twice !== undefined) throw badUserInput(`reasons names ${twice} twice.`);
  return reasons;
};

/** @throws BAD_USER_INPUT for what is no whole number of milliseconds from 0 to 30 days. */
export const checkedPreviousSecretValidMs = (value: number): number => {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_PREVIOUS_SECRET_VALID_MS) return value;
  throw badUserInput(
    `previousSecretValidMs is ${value}; a whole number from 0 to ${MAX_PREVIOUS_SECRET_VALID_MS} is right.`,
  );
};

/**
 * @returns the very same where the change makes no difference.
 * @throws BAD_USER_INPUT for a secret that is the present one, or does not fit the format afterwards.
 */
export const changeWebhook = (webhook: WebhookRecord, change: WebhookChange, now: Millis): WebhookRecord => {
  const { enabled } = change;
  const changed: WebhookRecord = {
    ...webhook,
    ...changedSigning(webhook, change, now),
    url: change.url ?? webhook.url,
    reasons: change.reasons === undefined ? webhook.reasons : change.reasons,
    userStatusOnly: change.userStatusOnly ?? webhook.userStatusOnly,
    state: enabled === undefined ? webhook.state : enabled ? 'ACTIVE' : 'PAUSED',
  };
  return isSame(webhook, changed) ? webhook : { ...changed, changedAt: now };
};

type Signing = Pick<WebhookRecord, 'format' | 'secret' | 'previousSecret'>;

const changedSigning = (webhook: WebhookRecord, change: WebhookChange, now: Millis): Signing => {
  const format = change.format ?? webhook.format;
  const secret = change.secret === undefined ? webhook.secret : change.secret;
  if (change.secret != null) {
    // A receiver that is told of a new secret would wait for it in vain, and its predecessor never end.
    if (secret === webhook.secret) throw badUserInput('secret is the present one; a new one must be another.');
    checkedSecret(format, change.secret);
  }
  if (format === 'TENCENT') return { format, secret, previousSecret: null };
  if (change.secret === null) throw badUserInput('secret is null; a webhook of the format STANDARD always has one.');
  if (secret === null || !isStandardSecret(secret)) {
    throw badUserInput('With the format STANDARD it needs a secret of that form: `secret`, or `rotateSecret: true`.');
  }
  return { format, secret, previousSecret: previousSecret(webhook, secret, change.previousSecretValidMs, now) };
};

/** Of STANDARD alone: a token of TENCENT can sign no such request. */
const previousSecret = (
  { format, secret, previousSecret: before }: WebhookRecord,
  next: string,
  validMs: number,
  now: Millis,
): WebhookRecord['previousSecret'] => {
  if (next === secret) return before;
  if (format !== 'STANDARD' || secret === null || validMs === 0) return null;
  return { secret, validUntil: later(now, validMs) };
};

const isSame = (one: WebhookRecord, other: WebhookRecord): boolean =>
  one.url === other.url &&
  one.format === other.format &&
  one.secret === other.secret &&
  one.previousSecret === other.previousSecret &&
  one.userStatusOnly === other.userStatusOnly &&
  one.state === other.state &&
  String(one.reasons) === String(other.reasons);
