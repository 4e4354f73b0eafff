/** The valid forms of a webhook's secret, by webhook format. */
import { badUserInputError } from '../errors.ts';
import { validateText } from '../texts.ts';
import type { WebhookFormat } from '../enums.ts';

/** Precedes the Base64 of the key, by the convention of Standard Webhooks. */
export const STANDARD_SECRET_PREFIX = 'whsec_';
export const MIN_SECRET_BYTES = 24;
export const MAX_SECRET_BYTES = 64;

// Only canonical Base64: some verifying libraries reject missing padding and non-zero spare bits.
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

/** Whether it can sign requests of the format STANDARD: `whsec_` and the Base64 of 24 to 64 bytes. */
export const isValidStandardSecret = (secret: string): boolean => {
  if (!secret.startsWith(STANDARD_SECRET_PREFIX)) return false;
  const base64 = secret.slice(STANDARD_SECRET_PREFIX.length);
  if (!BASE64.test(base64)) return false;
  const bytes = (base64.length / 4) * 3 - (base64.length - base64.replaceAll('=', '').length);
  return bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
};

/**
 * @param format of the requests to sign. TENCENT accepts any text of 1 to 128 code points without control characters
 * and lone surrogates.
 * @throws BAD_USER_INPUT for an invalid secret. The message does not contain the secret.
 */
export const validateSecret = (format: WebhookFormat, secret: string): string => {
  if (format === 'TENCENT') return validateText('webhookSecret', secret);
  if (isValidStandardSecret(secret)) return secret;
  throw badUserInputError(
    `secret must be ${STANDARD_SECRET_PREFIX} and the Base64, padded, of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes.`,
  );
};
