/** Keeps the files of the GraphiQL page in memory. They are compressed once, at the first request. */
import { Worker } from 'node:worker_threads';
import { resolveWorkerUrl } from '../../process/worker-url.ts';
import type { CompressedAssets } from './asset-worker.ts';

export interface GraphiqlAsset {
  readonly type: string;
  readonly gzip: Uint8Array;
}

export interface GraphiqlAssets {
  readonly version: string;
  readonly filesByName: ReadonlyMap<string, GraphiqlAsset>;
}

const WORKER_URL = resolveWorkerUrl(import.meta.url, './asset-worker.js');

let loading: Promise<GraphiqlAssets> | undefined;

/** Rejects when a file of the installation cannot be read; the next call tries again. */
export const loadAssets = (): Promise<GraphiqlAssets> => {
  loading ??= compressAssets().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
};

const compressAssets = (): Promise<GraphiqlAssets> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(WORKER_URL);
    // The shutdown does not wait for the worker.
    worker.unref();
    worker.once('message', ({ version, files }: CompressedAssets) => {
      resolve({ version, filesByName: new Map(files.map(({ name, type, gzip }) => [name, { type, gzip }])) });
    });
    worker.once('error', reject);
    worker.once('exit', (code) =>
      reject(
        new Error(`The worker that compresses the files of GraphiQL exited with code ${code} before it was done.`),
      ),
    );
  });
