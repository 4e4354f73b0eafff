/** Applies a change to a webhook and validates it. Either the whole change is applied, or none of it. */
import { badUserInputError } from '../errors.ts';
import { addMs, type Millis } from '../ids.ts';
import type { EventReason, WebhookFormat } from '../enums.ts';
import { validateSecret, isValidStandardSecret } from './webhook-secret.ts';
import type { WebhookRecord } from './webhook.ts';

/** A change of a webhook. Omitted fields do not change. */
export interface WebhookChange {
  readonly url?: string | undefined;
  readonly format?: WebhookFormat | undefined;
  /** Null: events with any reason. */
  readonly reasons?: readonly EventReason[] | null | undefined;
  readonly userStatusOnly?: boolean | undefined;
  /** True sets the state ACTIVE, also after GONE; false sets PAUSED. */
  readonly enabled?: boolean | undefined;
  /** Null: requests are no longer signed, which only TENCENT allows. */
  readonly secret?: string | null | undefined;
  /** How long a replaced secret still signs, besides the new one. */
  readonly previousSecretValidMs: number;
}

const DAY_MS = 86_400_000;
export const DEFAULT_PREVIOUS_SECRET_VALID_MS = DAY_MS;
const MAX_PREVIOUS_SECRET_VALID_MS = 30 * DAY_MS;

/** @throws BAD_USER_INPUT for an empty list, or a reason that occurs twice. */
export const validateReasons = (reasons: readonly EventReason[] | null): readonly EventReason[] | null => {
  if (reasons === null) return null;
  if (reasons.length === 0) throw badUserInputError('reasons is empty; null or omitted means all reasons.');
  const twice = reasons.find((reason, index) => reasons.indexOf(reason) !== index);
  if (twice !== undefined) throw badUserInputError(`reasons names ${twice} twice.`);
  return reasons;
};

/** @throws BAD_USER_INPUT unless it is a whole number of milliseconds from 0 to 30 days. */
export const validatePreviousSecretValidMs = (value: number): number => {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_PREVIOUS_SECRET_VALID_MS) return value;
  throw badUserInputError(
    `previousSecretValidMs is ${value}; it must be a whole number from 0 to ${MAX_PREVIOUS_SECRET_VALID_MS}.`,
  );
};

/**
 * @returns the same object when nothing changes.
 * @throws BAD_USER_INPUT for a new secret that equals the current one, or a secret that the new format cannot use.
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
    // The receiver would expect another secret, and the old one would never become invalid.
    if (secret === webhook.secret)
      throw badUserInputError('secret is the current one; a new secret must differ from it.');
    validateSecret(format, change.secret);
  }
  if (format === 'TENCENT') return { format, secret, previousSecret: null };
  if (change.secret === null)
    throw badUserInputError('secret is null; a webhook of the format STANDARD always has one.');
  if (secret === null || !isValidStandardSecret(secret)) {
    throw badUserInputError(
      'The format STANDARD needs a secret of that format: set `secret`, or `rotateSecret: true`.',
    );
  }
  return { format, secret, previousSecret: computePreviousSecret(webhook, secret, change.previousSecretValidMs, now) };
};

/** Only a STANDARD secret can stay valid: a TENCENT token cannot sign STANDARD requests. */
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
