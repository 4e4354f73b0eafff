/**
 * Is the file that is served still the one that is there? SQLite would not notice: it goes on writing to a
 * file that was removed, or replaced by renaming another one over it, and all of that is gone with the process.
 */
import { statSync } from 'node:fs';
import { FileReplaced } from './errors.ts';

/**
 * To be called when the database is open and was read from, for then its write-ahead log is there too.
 * @returns a check that takes some microseconds. @throws FileGone, that one.
 */
export const createReplacementCheck = (path: string): (() => void) => {
  const watched = [path, `${path}-wal`].map((name) => ({ name, identity: readFileIdentity(name) }));
  return () => {
    for (const { name, identity } of watched) if (readFileIdentity(name) !== identity) throw new FileReplaced(name);
  };
};

/** No two files that are there at once have the same. */
const readFileIdentity = (path: string): string | null => {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev} ${stats.ino}`;
};
