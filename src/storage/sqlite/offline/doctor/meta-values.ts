/** Checks the single values in the table `meta`. */
import type Database from 'better-sqlite3';
import { isDeepStrictEqual } from 'node:util';
import { createPolicyFromSeed, type Policy } from '../../../../core/policy.ts';
import { errorMessage } from '../../file/errors.ts';
import { LOG_ID_KEY, POLICY_KEY, PURGED_THROUGH_KEY, VERSION_FLOOR_KEY } from '../../schema/meta-keys.ts';
import type { Findings } from './findings.ts';

/** @returns the seq through which retention has removed events; 0 if it is unreadable. */
export const checkMetaValues = (connection: Database.Database, findings: Findings): number => {
  const read = connection.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck();
  const number = (key: string): number => {
    const text = read.get(key) ?? '0';
    if (/^(0|[1-9]\d{0,15})$/.test(text)) return Number(text);
    findings.addFinding('meta-value', `${key} is not a whole number`);
    return 0;
  };
  if (!/^[\w-]{12}$/.test(read.get(LOG_ID_KEY) ?? ''))
    findings.addFinding('meta-value', `${LOG_ID_KEY} is missing or malformed`);
  const wrong = findPolicyProblem(read.get(POLICY_KEY));
  if (wrong !== null) findings.addFinding('meta-value', `${POLICY_KEY}: ${wrong}`);
  number(VERSION_FLOOR_KEY);
  return number(PURGED_THROUGH_KEY);
};

/** A valid policy is unchanged when the rules build it again. */
const findPolicyProblem = (text: string | undefined): string | null => {
  if (text === undefined) return 'the value is missing';
  try {
    const policy = JSON.parse(text) as Policy;
    const again = createPolicyFromSeed({ ...policy, platforms: Object.values(policy.platforms) });
    return isDeepStrictEqual(again, policy) ? null : 'the value breaks the rules for policies';
  } catch (error) {
    return errorMessage(error);
  }
};
