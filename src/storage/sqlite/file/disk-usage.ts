/** Reads how much disk space the database uses and how much is free. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface DiskUsage {
  readonly databaseBytes: number;
  /** Size of the write-ahead log. SQLite checkpoints it now and then, and at close. */
  readonly walBytes: number;
  /** Bytes that this process may still write to the disk. */
  readonly freeBytes: number;
}

/**
 * Asks the file system; the time does not depend on the size of the file.
 * @throws the error of the file system.
 */
export const readDiskUsage = async (path: string): Promise<DiskUsage> => {
  const [database, walBytes, disk] = await Promise.all([
    stat(path),
    readFileSize(`${path}-wal`),
    statfs(dirname(path)),
  ]);
  return { databaseBytes: database.size, walBytes, freeBytes: disk.bavail * disk.bsize };
};

const readFileSize = async (path: string): Promise<number> => {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
};
