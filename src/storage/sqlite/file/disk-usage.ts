/** What the file takes of its disk, and what is left there. */
import { stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface DiskUsage {
  readonly databaseBytes: number;
  /** Of the write-ahead log; folded into the file every now and then, and at close. */
  readonly walBytes: number;
  /** What this process may still write to that disk. */
  readonly freeBytes: number;
}

/** Asks the file system, which takes no time that grows with the file. @throws what it says. */
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
