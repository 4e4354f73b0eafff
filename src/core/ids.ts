/**
 * Branded types for ids and times, so that one cannot be passed for another. They have no cost at run time. Each has
 * one function that validates and converts; code that receives a `UserId` need not validate it again.
 */
import { validateText } from './texts.ts';

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** An account of the app: 1 to 128 code points without control characters and lone surrogates, kept exactly. */
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

/**
 * @throws BAD_USER_INPUT when `value` is empty, longer than 128 code points, or has a control character or a lone
 * surrogate (texts.ts).
 */
export const parseUserId = (value: string): UserId => validateText('userId', value) as UserId;

/** @throws BAD_USER_INPUT as for a user id. */
export const parseDeviceId = (value: string): DeviceId => validateText('deviceId', value) as DeviceId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseSessionId = (value: string): SessionId => validateText('sessionId', value) as SessionId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseWebhookId = (value: string): WebhookId => validateText('webhookId', value) as WebhookId;

/** For an id from a client that is only looked up. @throws BAD_USER_INPUT as for a user id. */
export const parseDeliveryId = (value: string): DeliveryId => validateText('deliveryId', value) as DeliveryId;

/** Not validated: socket ids come only from the server itself. */
export const asSocketId = (value: string): SocketId => value as SocketId;

/** Checks only length and characters; the store validates the content. @throws BAD_USER_INPUT as for a user id. */
export const parseCursor = (value: string): Cursor => validateText('cursor', value) as Cursor;

/** @throws RangeError when `value` is not a safe integer. It is no user input error: callers send no such values. */
export const toMillis = (value: number): Millis => {
  if (!Number.isSafeInteger(value))
    throw new RangeError(`A time must be a whole number of milliseconds, not ${value}.`);
  return value as Millis;
};

/** The time `durationMs` after `moment`. */
export const addMs = (moment: Millis, durationMs: number): Millis => toMillis(moment + durationMs);
