/** The files of the GraphiQL page in memory, compressed once, when somebody first asks for them. */
import { Worker } from 'node:worker_threads';
import { resolveWorkerUrl } from '../../process/worker-url.ts';
import type { CompressedAssets } from './asset-worker.ts';

export interface GraphiqlAsset {
  readonly type: string;
  readonly gzip: Uint8Array;
}

export interface GraphiqlAssets {
  readonly version: string;
  readonly byName: ReadonlyMap<string, GraphiqlAsset>;
}

const PACK = resolveWorkerUrl(import.meta.url, './asset-worker.js');

let loading: Promise<GraphiqlAssets> | undefined;

/** @throws when a file of the installation cannot be read; the next call tries again. */
export const loadAssets = (): Promise<GraphiqlAssets> => {
  loading ??= pack().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
};

const pack = (): Promise<GraphiqlAssets> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(PACK);
    // A server that is told to stop does not wait for it.
    worker.unref();
    worker.once('message', ({ version, files }: CompressedAssets) => {
      resolve({ version, byName: new Map(files.map(({ name, type, gzip }) => [name, { type, gzip }])) });
    });
    worker.once('error', reject);
    worker.once('exit', (code) =>
      reject(new Error(`The files of GraphiQL could not be prepared (exit code ${code}).`)),
    );
  });
