/** Rules for secrets that depend on another option. A problem or a warning never contains the secret. */
import type { KeyObject } from 'node:crypto';
import { OPTIONS, type OptionValues } from './options.ts';
import { hashApiKey, isShortKey, MIN_KEY_BYTES } from './secret-value-types.ts';

export type KeyLengthResult =
  | { readonly ok: true; readonly warnings: readonly string[] }
  /** `problem` is a sentence. */
  | { readonly ok: false; readonly problem: string };

/**
 * Checks the length of a key of HMAC-SHA256.
 * @param source of the key, as messages name it.
 * @param allowShortKeys a short key causes a warning, not a problem.
 */
export const checkKeyLength = (source: string, key: KeyObject, allowShortKeys: boolean): KeyLengthResult => {
  if (!isShortKey(key)) return { ok: true, warnings: [] };
  const weakness = `${source} is shorter than ${MIN_KEY_BYTES} bytes, so it can be guessed from a token`;
  if (allowShortKeys) return { ok: true, warnings: [`${weakness}; use a longer one.`] };
  const problem =
    `${weakness}. It must have at least ${MIN_KEY_BYTES} bytes, ` +
    `or ${OPTIONS.allowShortKeys.env} must be true until a longer one is in use.`;
  return { ok: false, problem };
};

/**
 * Finds a metrics token that is another secret at the same time. It would give more access than to the metrics.
 * @returns a sentence, or null.
 */
export const findReusedMetricsToken = (values: Partial<OptionValues>): string | null => {
  const { metricsToken } = values;
  if (metricsToken == null) return null;
  const others = {
    apiKeys: values.apiKeys ?? [],
    jwtSecret: digestOfKey(values.jwtSecret),
    tencentKey: digestOfKey(values.tencentKey),
  };
  for (const [name, digests] of Object.entries(others)) {
    if (!digests.some((digest) => digest.equals(metricsToken))) continue;
    const other = OPTIONS[name as keyof typeof others].env;
    return `${OPTIONS.metricsToken.env} is also in ${other}, but must be a secret of its own: it gives access to the metrics alone.`;
  }
  return null;
};

const digestOfKey = (key: KeyObject | null | undefined): readonly Buffer[] =>
  key == null ? [] : [hashApiKey(key.export())];
