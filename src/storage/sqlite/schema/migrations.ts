/** The migrations that this version brings along, as drizzle-kit made them. */
import type Database from 'better-sqlite3';
import { drizzle } from 'drizzle-orm/better-sqlite3';
import { migrate } from 'drizzle-orm/better-sqlite3/migrator';
import { readMigrationFiles } from 'drizzle-orm/migrator';
import { fileURLToPath } from 'node:url';

// As far from the sources as from the build.
const migrationsFolder = fileURLToPath(new URL('../../../../drizzle', import.meta.url));

/** Brings the database to the present schema; all of it or nothing. */
export const applyMigrations = (connection: Database.Database): void => {
  migrate(drizzle(connection), { migrationsFolder });
};

/** NEWER: a version of Porchlight has been here that knows migrations this one does not. OLDER: some are still to be applied. */
export type SchemaState = 'OLDER' | 'CURRENT' | 'NEWER';

export const readSchemaState = (connection: Database.Database): SchemaState => {
  const table = connection.prepare("SELECT 1 FROM sqlite_schema WHERE name = '__drizzle_migrations'").get();
  if (table === undefined) return 'OLDER';
  const known = new Set(readMigrationFiles({ migrationsFolder }).map((migration) => migration.folderMillis));
  const applied = connection.prepare<[], number>('SELECT created_at FROM __drizzle_migrations').pluck().all();
  for (const createdAt of applied) if (!known.delete(Number(createdAt))) return 'NEWER';
  return known.size === 0 ? 'CURRENT' : 'OLDER';
};
