/**
 * A worker thread that lives once, for about half a second: it loads GraphiQL (9 MB of text in a module, which would
 * never be freed again), compresses every file of the page and hands over the bytes. So the server's own thread
 * neither waits for it nor keeps it.
 */
import * as graphiql from '@graphql-yoga/render-graphiql/graphiql';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parentPort } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';

/** One file of the page, as it is sent. */
export interface CompressedFile {
  readonly name: string;
  readonly type: string;
  readonly gzip: Uint8Array<ArrayBuffer>;
}

export interface CompressedAssets {
  /** Of all contents: another one for every other set of files. */
  readonly version: string;
  readonly files: readonly CompressedFile[];
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

/** The browser's part of this server: compiled beside this file. */
const ownScripts = async (): Promise<[string, string][]> => {
  const directory = new URL('./browser/', import.meta.url);
  const names = (await readdir(directory)).filter((name) => name.endsWith('.js')).sort();
  return Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const script = await readFile(new URL(name, directory), 'utf8');
      // The source maps are not served.
      return [name, script.replace(/^\/\/# sourceMappingURL=.*$/m, '')];
    }),
  );
};

/** The client of graphql-ws as one script; the package exports it to nobody by name. */
const socketClient = async (): Promise<string> => {
  const main = createRequire(import.meta.url).resolve('graphql-ws');
  return readFile(main.replace(/dist[\\/]index\.cjs$/, 'umd/graphql-ws.min.js'), 'utf8');
};

const contents: readonly (readonly [name: string, text: string])[] = [
  ['graphiql.css', graphiql.css],
  ['graphiql.js', graphiql.js],
  ['editorWorkerService.worker.js', graphiql.editorWorkerService],
  ['json.worker.js', graphiql.jsonWorker],
  ['graphql.worker.js', graphiql.graphqlWorker],
  ['graphql-ws.js', await socketClient()],
  ...(await ownScripts()),
];

const hash = createHash('sha256');
const files: CompressedFile[] = [];
for (const [name, text] of contents) {
  hash.update(`${name}\0${text}\0`);
  // Brotli would save another tenth, and not every browser takes it over plain HTTP.
  const gzip = new Uint8Array(gzipSync(text, { level: 6 }));
  files.push({ name, type: name.endsWith('.css') ? STYLE : SCRIPT, gzip });
}
const packed: CompressedAssets = { version: hash.digest('hex').slice(0, 16), files };
parentPort?.postMessage(
  packed,
  files.map((file) => file.gzip.buffer),
);
