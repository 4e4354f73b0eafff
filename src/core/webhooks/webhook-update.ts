/** What becomes of a webhook that is changed. It is checked here: either all of a change holds, or none. */
import { badUserInputError } from '../errors.ts';
import { addMs, type Millis } from '../ids.ts';
import type { EventReason, WebhookFormat } from '../enums.ts';
import { validateSecret, isValidStandardSecret } from './webhook-secret.ts';
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
export const validateReasons = (reasons: readonly EventReason[] | null): readonly EventReason[] | null => {
  if (reasons === null) return null;
  if (reasons.length === 0) throw badUserInputError('reasons is empty; null, or left out, is all of them.');
  const twice = reasons.find((reason, index) => reasons.indexOf(reason) !== index);
  if (twice !== undefined) throw badUserInputError(`reasons names ${twice} twice.`);
  return reasons;
};

/** @throws BAD_USER_INPUT for what is no whole number of milliseconds from 0 to 30 days. */
export const validatePreviousSecretValidMs = (value: number): number => {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_PREVIOUS_SECRET_VALID_MS) return value;
  throw badUserInputError(
    `previousSecretValidMs is ${value}; a whole number from 0 to ${MAX_PREVIOUS_SECRET_VALID_MS} is right.`,
  );
};

/**
 * @returns the very same where the change makes no difference.
 * @throws BAD_USER_INPUT for a secret that is the present one, or does not fit the format afterwards.
 */
export const applyWebhookChange = (webhook: WebhookRecord, change: WebhookChange, now: Millis): WebhookRecord => {
  const { enabled } = change;
  const changed: WebhookRecord = {
    ...webhook,
    ...computeSigning(webhook, change, now),
    url: change.url ?? webhook.url,
    reasons: change.reasons === undefined ? webhook.reasons : change.reasons,
    userStatusOnly: change.userStatusOnly ?? webhook.userStatusOnly,
    state: enabled === undefined ? webhook.state : enabled ? 'ACTIVE' : 'PAUSED',
  };
  return areWebhooksEqual(webhook, changed) ? webhook : { ...changed, changedAt: now };
};

type SigningSettings = Pick<WebhookRecord, 'format' | 'secret' | 'previousSecret'>;

const computeSigning = (webhook: WebhookRecord, change: WebhookChange, now: Millis): SigningSettings => {
  const format = change.format ?? webhook.format;
  const secret = change.secret === undefined ? webhook.secret : change.secret;
  if (change.secret != null) {
    // A receiver that is told of a new secret would wait for it in vain, and its predecessor never end.
    if (secret === webhook.secret) throw badUserInputError('secret is the present one; a new one must be another.');
    validateSecret(format, change.secret);
  }
  if (format === 'TENCENT') return { format, secret, previousSecret: null };
  if (change.secret === null)
    throw badUserInputError('secret is null; a webhook of the format STANDARD always has one.');
  if (secret === null || !isValidStandardSecret(secret)) {
    throw badUserInputError(
      'With the format STANDARD it needs a secret of that form: `secret`, or `rotateSecret: true`.',
    );
  }
  return { format, secret, previousSecret: computePreviousSecret(webhook, secret, change.previousSecretValidMs, now) };
};

/** Of STANDARD alone: a token of TENCENT can sign no such request. */
const computePreviousSecret = (
  { format, secret, previousSecret: before }: WebhookRecord,
  next: string,
  validMs: number,
  now: Millis,
): WebhookRecord['previousSecret'] => {
  if (next === secret) return before;
  if (format !== 'STANDARD' || secret === null || validMs === 0) return null;
  return { secret, validUntil: addMs(now, validMs) };
};

const areWebhooksEqual = (one: WebhookRecord, other: WebhookRecord): boolean =>
  one.url === other.url &&
  one.format === other.format &&
  one.secret === other.secret &&
  one.previousSecret === other.previousSecret &&
  one.userStatusOnly === other.userStatusOnly &&
  one.state === other.state &&
  String(one.reasons) === String(other.reasons);
