/**
 * Branded types for ids and times, so that one cannot be passed for another. They have no cost at run time. Each has
 * one function that validates and converts; code that receives a `UserId` need not validate it again.
 */
import { badUserInputError } from './errors.ts';

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** An account of the app: 1 to 128 code points, no control characters, kept exactly as given. */
export type UserId = Brand<string, 'UserId'>;
/** A device of a user, named by the app; the same form as a user id. */
export type DeviceId = Brand<string, 'DeviceId'>;
/** One login of one device. Created by Porchlight. */
export type SessionId = Brand<string, 'SessionId'>;
/** One open socket. Created by Porchlight and never reused, so that a late close cannot affect a newer socket. */
export type SocketId = Brand<string, 'SocketId'>;
/** A webhook. Created by Porchlight. */
export type WebhookId = Brand<string, 'WebhookId'>;
/** One delivery of a webhook; all its attempts have the same id. Created by Porchlight. */
export type DeliveryId = Brand<string, 'DeliveryId'>;
/** Opaque resume position in the event log. Only the store creates and interprets it. */
export type Cursor = Brand<string, 'Cursor'>;
/** A point in time: whole milliseconds since 1970, UTC, by the store's clock. */
export type Millis = Brand<number, 'Millis'>;

export const MAX_ID_CODE_POINTS = 128;
export const MAX_VERSION_CODE_POINTS = 128;
export const MAX_CUSTOM_STATUS_CODE_POINTS = 256;

// Control characters and lone surrogates. A lone surrogate is not valid Unicode and could not be stored exactly.
const CONTROL_OR_SURROGATE = /[\p{Cc}\p{Cs}]/u;
const SURROGATE = /\p{Cs}/u;

/** @throws BAD_USER_INPUT when `value` is empty, longer than 128 code points or has a control character. */
export const parseUserId = (value: string): UserId => validateId(value, 'A user id') as UserId;

/** @throws BAD_USER_INPUT as for a user id. */
export const parseDeviceId = (value: string): DeviceId => validateId(value, 'A deviceId') as DeviceId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseSessionId = (value: string): SessionId => validateId(value, 'A session id') as SessionId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseWebhookId = (value: string): WebhookId => validateId(value, 'A webhook’s id') as WebhookId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseDeliveryId = (value: string): DeliveryId => validateId(value, 'A delivery’s id') as DeliveryId;

/** Not validated: socket ids come only from the server itself. */
export const asSocketId = (value: string): SocketId => value as SocketId;

/** Checks only length and characters; the store validates the content. @throws BAD_USER_INPUT as for a user id. */
export const parseCursor = (value: string): Cursor => validateId(value, 'A cursor') as Cursor;

/** @throws RangeError when `value` is not a safe integer. It is no user input error: callers send no such values. */
export const toMillis = (value: number): Millis => {
  if (!Number.isSafeInteger(value))
    throw new RangeError(`A time must be a whole number of milliseconds, not ${value}.`);
  return value as Millis;
};

/** The time `durationMs` after `moment`. */
export const addMs = (moment: Millis, durationMs: number): Millis => toMillis(moment + durationMs);

/**
 * An app or OS version: free text of at most 128 code points without control characters.
 * @throws BAD_USER_INPUT, naming `what`.
 */
export const validateVersionText = (value: string, what: string): string => {
  if (CONTROL_OR_SURROGATE.test(value)) throw badUserInputError(`${what} has a control character.`);
  if (isLongerThan(value, MAX_VERSION_CODE_POINTS)) {
    throw badUserInputError(`${what} is longer than ${MAX_VERSION_CODE_POINTS} characters.`);
  }
  return value;
};

/** A custom status: any text of at most 256 code points, stored exactly. @throws BAD_USER_INPUT for another. */
export const validateCustomStatus = (value: string): string => {
  if (SURROGATE.test(value)) throw badUserInputError('The custom status is not valid Unicode.');
  if (isLongerThan(value, MAX_CUSTOM_STATUS_CODE_POINTS)) {
    throw badUserInputError(`The custom status is longer than ${MAX_CUSTOM_STATUS_CODE_POINTS} characters.`);
  }
  return value;
};

/** Accepts a text of 1 to 128 code points without control characters. @throws BAD_USER_INPUT, naming `what`. */
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
  // A code point has at most two UTF-16 units, so a much longer text need not be counted.
  if (value.length > 2 * codePoints) return true;
  let count = 0;
  for (const _ of value) if (++count > codePoints) return true;
  return false;
};
