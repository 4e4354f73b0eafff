/**
 * The words that must not be mixed up, as types that cost nothing at run time. Each has one
 * constructor, which validates; code that holds a `UserId` need not look at it again.
 */
import { badUserInputError } from './errors.ts';

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** An account of the app: 1 to 128 code points, no control characters, kept exactly as given. */
export type UserId = Brand<string, 'UserId'>;
/** A device of a user; same form as a user id. */
export type DeviceId = Brand<string, 'DeviceId'>;
/** One login of one device. Made by Porchlight. */
export type SessionId = Brand<string, 'SessionId'>;
/** One open socket. Made by Porchlight, never used twice, so that a late close cannot mean another one. */
export type SocketId = Brand<string, 'LinkId'>;
/** A webhook. Made by Porchlight. */
export type WebhookId = Brand<string, 'WebhookId'>;
/** One delivery of a webhook, however often it is tried. Made by Porchlight. */
export type DeliveryId = Brand<string, 'DeliveryId'>;
/** Opaque resume position in the event log. Made and read by the store alone. */
export type Cursor = Brand<string, 'Cursor'>;
/** A moment: whole milliseconds since 1970, UTC, by the store's clock. */
export type Millis = Brand<number, 'Millis'>;

export const MAX_ID_CODE_POINTS = 128;
export const MAX_VERSION_CODE_POINTS = 128;
export const MAX_CUSTOM_STATUS_CODE_POINTS = 256;

// Cc, and lone surrogates: those are no Unicode text and could not be kept exactly.
const CONTROL_OR_SURROGATE = /[\p{Cc}\p{Cs}]/u;
const SURROGATE = /\p{Cs}/u;

/** @throws BAD_USER_INPUT when `value` is empty, longer than 128 code points or has a control character. */
export const parseUserId = (value: string): UserId => validateId(value, 'A user id') as UserId;

/** @throws BAD_USER_INPUT as for a user id. */
export const parseDeviceId = (value: string): DeviceId => validateId(value, 'A deviceId') as DeviceId;

/** For an id from outside that is only looked up: any text of a plausible length. */
export const parseSessionId = (value: string): SessionId => validateId(value, 'A session id') as SessionId;

/** @throws BAD_USER_INPUT as for a user id: ids from outside are only looked up. */
export const parseWebhookId = (value: string): WebhookId => validateId(value, 'A webhook’s id') as WebhookId;

/** @throws BAD_USER_INPUT as for a user id. */
export const parseDeliveryId = (value: string): DeliveryId => validateId(value, 'A delivery’s id') as DeliveryId;

export const asSocketId = (value: string): SocketId => value as SocketId;

/** The form is the store's business; here it is only kept from being absurd. */
export const parseCursor = (value: string): Cursor => validateId(value, 'A cursor') as Cursor;

/** @throws RangeError when `value` is no whole number: a moment never comes from a caller unchecked. */
export const toMillis = (value: number): Millis => {
  if (!Number.isSafeInteger(value)) throw new RangeError(`Not a moment in milliseconds: ${value}`);
  return value as Millis;
};

/** The moment `durationMs` after `moment`. */
export const addMs = (moment: Millis, durationMs: number): Millis => toMillis(moment + durationMs);

/** An app or OS version: free text of at most 128 code points without control characters. */
export const validateVersionText = (value: string, what: string): string => {
  if (CONTROL_OR_SURROGATE.test(value)) throw badUserInputError(`${what} has a control character.`);
  if (isLongerThan(value, MAX_VERSION_CODE_POINTS)) {
    throw badUserInputError(`${what} is longer than ${MAX_VERSION_CODE_POINTS} characters.`);
  }
  return value;
};

/** A custom status: any text of at most 256 code points, kept exactly. */
export const validateCustomStatus = (value: string): string => {
  if (SURROGATE.test(value)) throw badUserInputError('The custom status is not valid Unicode.');
  if (isLongerThan(value, MAX_CUSTOM_STATUS_CODE_POINTS)) {
    throw badUserInputError(`The custom status is longer than ${MAX_CUSTOM_STATUS_CODE_POINTS} characters.`);
  }
  return value;
};

/** Any text of 1 to 128 code points without control characters. @throws BAD_USER_INPUT, naming `what`, for another. */
export const validateId = (value: string, what: string): string => {
  if (value.length === 0) throw badUserInputError(`${what} is empty.`);
  if (CONTROL_OR_SURROGATE.test(value)) throw badUserInputError(`${what} has a control character.`);
  if (isLongerThan(value, MAX_ID_CODE_POINTS)) {
    throw badUserInputError(`${what} is longer than ${MAX_ID_CODE_POINTS} characters.`);
  }
  return value;
};

const isLongerThan = (value: string, codePoints: number): boolean => {
  if (value.length <= codePoints) return false;
  // A code point takes two units at the most: what is longer than that need not be counted.
  if (value.length > 2 * codePoints) return true;
  let count = 0;
  for (const _ of value) if (++count > codePoints) return true;
  return false;
};
