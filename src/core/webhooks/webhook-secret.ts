/** What a webhook's secret must look like, by the format of what it signs. */
import { badUserInputError } from '../errors.ts';
import { validateId } from '../ids.ts';
import type { WebhookFormat } from '../enums.ts';

/** By the convention of Standard Webhooks: before the Base64 of the key. */
export const STANDARD_SECRET_PREFIX = 'whsec_';
export const MIN_SECRET_BYTES = 24;
export const MAX_SECRET_BYTES = 64;

// Only as an encoder writes it: some of the libraries that verify refuse what is not padded, or has bits to spare.
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;

/** Can it sign requests of the format STANDARD: `whsec_` and the Base64 of 24 to 64 bytes? */
export const isValidStandardSecret = (secret: string): boolean => {
  if (!secret.startsWith(STANDARD_SECRET_PREFIX)) return false;
  const base64 = secret.slice(STANDARD_SECRET_PREFIX.length);
  if (!BASE64.test(base64)) return false;
  const bytes = (base64.length / 4) * 3 - (base64.length - base64.replaceAll('=', '').length);
  return bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
};

/**
 * @param format of the requests that it signs. TENCENT takes any text of 1 to 128 code points without control characters.
 * @throws BAD_USER_INPUT, without the secret in it, for one that cannot sign them.
 */
export const validateSecret = (format: WebhookFormat, secret: string): string => {
  if (format === 'TENCENT') return validateId(secret, 'secret');
  if (isValidStandardSecret(secret)) return secret;
  throw badUserInputError(
    `secret must be ${STANDARD_SECRET_PREFIX} and the Base64, padded, of ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes.`,
  );
};
