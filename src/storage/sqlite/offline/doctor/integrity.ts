/** Runs SQLite's integrity check and names the damaged table or index instead of a page number. */
import Database from 'better-sqlite3';
import { describeDamage } from '../../file/inspect-file.ts';
import type { Findings } from './findings.ts';

const MAX_PROBLEMS = 100;

/**
 * @param quick skips the comparison of indexes with their tables.
 * @returns true if the file is undamaged.
 */
export const checkIntegrity = (connection: Database.Database, quick: boolean, findings: Findings): boolean => {
  const check = quick ? 'quick_check' : 'integrity_check';
  try {
    const problems = connection.prepare<[], string>(`PRAGMA ${check}(${MAX_PROBLEMS})`).pluck().all();
    if (problems.length === 1 && problems[0] === 'ok') return true;
    for (const problem of problems) findings.addFinding('damaged', describeDamage(problem, connection));
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    findings.addFinding('damaged', `${error.message} (${error.code})`);
  }
  return false;
};
