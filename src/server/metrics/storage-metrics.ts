/** Metrics of commits and of the disk. */
import type { Registry } from 'prom-client';
import type { Histogram } from '../../app/shared/histogram.ts';
import { registerCounter, registerGauge, registerHistogram, SECONDS_PER_MS, singleSample } from './exposition.ts';

/** Metrics of a store that writes to disk. */
export interface StorageMetrics {
  readonly commitMetrics: {
    readonly durations: Histogram;
    readonly entryCounts: Histogram;
    readonly failedCount: number;
  };
  readDiskUsage(): Promise<{ readonly databaseBytes: number; readonly walBytes: number; readonly freeBytes: number }>;
}

export const registerStorageMetrics = (registry: Registry, storage: StorageMetrics): void => {
  const { commitMetrics } = storage;
  registerHistogram(
    registry,
    {
      name: 'porchlight_commit_seconds',
      help: 'Time from sending a commit to the writer thread until it is on disk.',
    },
    SECONDS_PER_MS,
    () => [[{}, commitMetrics.durations]],
  );
  registerHistogram(registry, { name: 'porchlight_commit_entries', help: 'Changes in one commit.' }, 1, () => [
    [{}, commitMetrics.entryCounts],
  ]);
  registerCounter(
    registry,
    {
      name: 'porchlight_commits_failed_total',
      help: 'Commits that failed; none of their changes took effect.',
    },
    () => singleSample(commitMetrics.failedCount),
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_database_bytes',
      help: 'Size of the database and of its write-ahead log; NaN when the files cannot be read.',
      labels: ['file'],
    },
    async () => {
      const { databaseBytes, walBytes } = await readDiskUsage(storage);
      return [
        [{ file: 'database' }, databaseBytes],
        [{ file: 'wal' }, walBytes],
      ];
    },
  );
  registerGauge(
    registry,
    {
      name: 'porchlight_disk_free_bytes',
      help: 'Free space on the disk of the database; NaN when it cannot be read.',
    },
    async () => singleSample((await readDiskUsage(storage)).freeBytes),
  );
};

/** Returns NaN for files that cannot be read, so that the other metrics are still served. */
const readDiskUsage = async (storage: StorageMetrics): ReturnType<StorageMetrics['readDiskUsage']> => {
  try {
    return await storage.readDiskUsage();
  } catch {
    return { databaseBytes: NaN, walBytes: NaN, freeBytes: NaN };
  }
};
