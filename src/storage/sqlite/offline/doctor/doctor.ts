/**
 * Checks a database for inconsistencies, in one consistent state, while a server may be writing to it. Changes
 * nothing.
 */
import type Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { countRows, type RowCounts } from '../row-counts.ts';
import { errorMessage, DatabaseFileError } from '../../file/errors.ts';
import { toDatabaseFileError, assertReadableDatabase } from '../../file/inspect-file.ts';
import { readSchemaState, type SchemaState } from '../../schema/migrations.ts';
import { openSnapshot } from '../snapshot.ts';
import { Findings, type Finding } from './findings.ts';
import { checkIntegrity } from './integrity.ts';
import { checkEventOrder, checkEventsOfUsers } from './event-log.ts';
import { checkMetaValues } from './meta-values.ts';
import { checkUsersAndSessions } from './users-and-sessions.ts';
import { checkWebhooks } from './webhooks.ts';

export interface Diagnosis {
  /** Null if the file is too damaged to read it. */
  readonly schema: SchemaState | null;
  readonly integrity: 'full' | 'quick';
  readonly file: {
    readonly bytes: number;
    /** Size of the write-ahead log; 0 without one. */
    readonly walBytes: number;
    readonly pages: number;
    readonly freePages: number;
  };
  /** Null if the file is damaged or its schema is not current. */
  readonly counted: RowCounts | null;
  readonly findings: readonly Finding[];
}

/**
 * @param quick skips the comparison of indexes with their tables.
 * @throws DatabaseFileError if there is no database to read. A damaged database is a finding.
 */
export const diagnoseDatabase = (path: string, quick: boolean): Diagnosis => {
  assertReadableDatabase(path);
  let snapshot: Database.Database | undefined;
  try {
    snapshot = openSnapshot(path);
    return runChecks(snapshot, path, quick);
  } catch (error) {
    const fault = toDatabaseFileError(path, error);
    if (!(fault instanceof DatabaseFileError) || fault.kind !== 'CORRUPT') throw fault;
    const findings = new Findings();
    findings.addFinding('damaged', errorMessage(fault.cause));
    return { ...describeFile(path, quick), schema: null, counted: null, findings: findings.listFindings };
  } finally {
    snapshot?.close();
  }
};

const runChecks = (connection: Database.Database, path: string, quick: boolean): Diagnosis => {
  const findings = new Findings();
  const schema = readSchemaState(connection);
  if (schema === 'OLDER') findings.addFinding('schema-older', 'migrations are pending');
  if (schema === 'NEWER')
    findings.addFinding('schema-newer', 'the database has migrations that this version does not know');
  const whole = checkIntegrity(connection, quick, findings);
  // The content of a damaged file proves nothing, and another schema has other rules.
  const readable = whole && schema === 'CURRENT';
  if (readable) {
    checkEventOrder(connection, checkMetaValues(connection, findings), findings);
    checkEventsOfUsers(connection, findings);
    checkUsersAndSessions(connection, findings);
    checkWebhooks(connection, findings);
  }
  const pragma = (name: string): number => Number(connection.pragma(name, { simple: true }));
  return {
    ...describeFile(path, quick, { pages: pragma('page_count'), freePages: pragma('freelist_count') }),
    schema,
    counted: readable ? countRows(connection) : null,
    findings: findings.listFindings,
  };
};

const describeFile = (
  path: string,
  quick: boolean,
  pages = { pages: 0, freePages: 0 },
): Pick<Diagnosis, 'integrity' | 'file'> => ({
  integrity: quick ? 'quick' : 'full',
  file: {
    bytes: statSync(path).size,
    walBytes: statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0,
    ...pages,
  },
});
