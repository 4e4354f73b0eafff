/** SQLite's own look at the file, in words: which table or index is damaged, not which page of which tree. */
import Database from 'better-sqlite3';
import type { Findings } from './findings.ts';

const MOST = 100;

/** @param quick leaves out whether the indexes have what the tables have. @returns is the file whole? */
export const checkIntegrity = (connection: Database.Database, quick: boolean, findings: Findings): boolean => {
  const trees = new Map(
    connection
      .prepare<[], [number, string, string]>('SELECT rootpage, type, name FROM sqlite_schema WHERE rootpage > 0')
      .raw()
      .all()
      .map(([root, type, name]) => [root, `${type} ${name}`]),
  );
  const check = quick ? 'quick_check' : 'integrity_check';
  try {
    const lines = connection.prepare<[], string>(`PRAGMA ${check}(${MOST})`).pluck().all();
    if (lines.length === 1 && lines[0] === 'ok') return true;
    for (const line of lines) findings.addFinding('damaged', inWords(line, trees));
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error;
    findings.addFinding('damaged', `${error.message} (${error.code})`);
  }
  return false;
};

const inWords = (line: string, trees: ReadonlyMap<number, string>): string => {
  const root = /\bTree (\d+)\b/.exec(line)?.[1];
  const tree = root === undefined ? undefined : trees.get(Number(root));
  return `${tree === undefined ? '' : `${tree}: `}${line.replace(/^\*\*\* in database main \*\*\*\n/, '')}`;
};
