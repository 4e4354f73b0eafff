/**
 * A worker thread that runs once, for about half a second. It loads GraphiQL, compresses every file of the page and
 * transfers the bytes. GraphiQL is a module with 9 MB of text, which the main thread could never free again.
 */
import * as graphiql from '@graphql-yoga/render-graphiql/graphiql';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parentPort } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';

/** One file of the page, as it is sent to browsers. */
export interface CompressedFile {
  readonly name: string;
  readonly type: string;
  readonly gzip: Uint8Array<ArrayBuffer>;
}

export interface CompressedAssets {
  /** A hash of all contents, which changes with every file. */
  readonly version: string;
  readonly files: readonly CompressedFile[];
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

/** Reads the compiled scripts in browser/. */
const readOwnScripts = async (): Promise<[string, string][]> => {
  const directory = new URL('./browser/', import.meta.url);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.js')).sort();
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const script = await readFile(new URL(name, directory), 'utf8');
      // Source maps are not served.
      return [name, script.replace(/^\/\/# sourceMappingURL=.*$/m, '')];
    }),
  );
};

/** Reads the client of graphql-ws as a single script, which the package does not list in its exports. */
const readWebSocketClient = async (): Promise<string> => {
  const main = createRequire(import.meta.url).resolve('graphql-ws');
  return readFile(main.replace(/dist[\\/]index\.cjs$/, 'umd/graphql-ws.min.js'), 'utf8');
};

const contents: readonly (readonly [name: string, text: string])[] = [
  ['graphiql.css', graphiql.css],
  ['graphiql.js', graphiql.js],
  ['editorWorkerService.worker.js', graphiql.editorWorkerService],
  ['json.worker.js', graphiql.jsonWorker],
  ['graphql.worker.js', graphiql.graphqlWorker],
  ['graphql-ws.js', await readWebSocketClient()],
  ...(await readOwnScripts()),
];

const hash = createHash('sha256');
const files: CompressedFile[] = [];
for (const [name, text] of contents) {
  hash.update(`${name}\0${text}\0`);
  // Brotli would save another tenth, but browsers do not accept it over plain HTTP.
  const gzip = new Uint8Array(gzipSync(text, { level: 6 }));
  files.push({ name, type: name.endsWith('.css') ? STYLE : SCRIPT, gzip });
}
const assets: CompressedAssets = { version: hash.digest('hex').slice(0, 16), files };
parentPort?.postMessage(
  assets,
  files.map((file) => file.gzip.buffer),
);
