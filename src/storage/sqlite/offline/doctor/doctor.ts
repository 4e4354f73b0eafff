/**
 * Looks at a database and finds what is wrong with it, as of one instant, while a server may be writing to it.
 * Nothing is changed.
 */
import type Database from 'better-sqlite3';
import { statSync } from 'node:fs';
import { countAll, type Counted } from '../row-counts.ts';
import { messageOf, StorageError } from '../../file/errors.ts';
import { fileError, inspectForReading } from '../../file/inspect-file.ts';
import { schemaOf, type Schema } from '../../schema/migrations.ts';
import { openSnapshot } from '../snapshot.ts';
import { Findings, type Finding } from './findings.ts';
import { checkIntegrity } from './integrity.ts';
import { checkOrder, checkUsers } from './event-log.ts';
import { checkMeta } from './meta-values.ts';
import { checkState } from './users-and-sessions.ts';
import { checkWebhooks } from './webhooks.ts';

export interface Diagnosis {
  /** Null where the file is too damaged to tell. */
  readonly schema: Schema | null;
  readonly integrity: 'full' | 'quick';
  readonly file: {
    readonly bytes: number;
    /** Of the write-ahead log beside it; 0 without one. */
    readonly walBytes: number;
    readonly pages: number;
    readonly freePages: number;
  };
  /** Null where the file is damaged, or its schema another one. */
  readonly counted: Counted | null;
  readonly findings: readonly Finding[];
}

/**
 * @param quick leaves out whether every index has what its table has.
 * @throws StorageError when there is no database to be read. A damaged one is a finding.
 */
export const diagnose = (path: string, quick: boolean): Diagnosis => {
  inspectForReading(path);
  let snapshot: Database.Database | undefined;
  try {
    snapshot = openSnapshot(path);
    return looked(snapshot, path, quick);
  } catch (error) {
    const fault = fileError(path, error);
    if (!(fault instanceof StorageError) || fault.kind !== 'CORRUPT') throw fault;
    const findings = new Findings();
    findings.add('damaged', messageOf(fault.cause));
    return { ...about(path, quick), schema: null, counted: null, findings: findings.all };
  } finally {
    snapshot?.close();
  }
};

const looked = (connection: Database.Database, path: string, quick: boolean): Diagnosis => {
  const findings = new Findings();
  const schema = schemaOf(connection);
  if (schema === 'OLDER') findings.add('schema-older', 'migrations are still to be applied');
  if (schema === 'NEWER') findings.add('schema-newer', 'migrations were applied that this version does not know');
  const whole = checkIntegrity(connection, quick, findings);
  // What a damaged file says of users is nothing to be held against it, and another schema has other rules.
  const readable = whole && schema === 'CURRENT';
  if (readable) {
    checkOrder(connection, checkMeta(connection, findings), findings);
    checkUsers(connection, findings);
    checkState(connection, findings);
    checkWebhooks(connection, findings);
  }
  const pragma = (name: string): number => Number(connection.pragma(name, { simple: true }));
  return {
    ...about(path, quick, { pages: pragma('page_count'), freePages: pragma('freelist_count') }),
    schema,
    counted: readable ? countAll(connection) : null,
    findings: findings.all,
  };
};

const about = (
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
