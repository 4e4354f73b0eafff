/** Serves the pages of the tests about hidden pages, the client of graphql-ws, and the example docs/examples/web.mjs. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PAGE_SCRIPTS } from './page-scripts.ts';

const GRAPHQL_WS = new URL('../../../node_modules/graphql-ws/dist/', import.meta.url);
const EXAMPLES = new URL('../../../docs/examples/', import.meta.url);

export interface PageServer extends AsyncDisposable {
  readonly origin: string;
}

/** @param pingEveryMs replaces the interval in docs/examples/web.mjs. */
export const startPageServer = async (pingEveryMs: number): Promise<PageServer> => {
  const server = createServer((request, response) => {
    readResource(request.url ?? '/', pingEveryMs).then(
      ({ type, text }) => response.writeHead(200, { 'content-type': type }).end(text),
      (error: Error) => response.writeHead(404, { 'content-type': 'text/plain' }).end(error.message),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};

interface Resource {
  readonly type: string;
  readonly text: string;
}

const readResource = async (url: string, pingEveryMs: number): Promise<Resource> => {
  const { pathname } = new URL(url, 'http://localhost');
  const name = pathname.slice(1);
  if (name in PAGE_SCRIPTS) {
    const script = PAGE_SCRIPTS[name as keyof typeof PAGE_SCRIPTS];
    return { type: 'text/html', text: `<!doctype html><title>${name}</title><script type="module">${script}</script>` };
  }
  if (name === 'web.mjs') {
    const example = await readFile(new URL('web.mjs', EXAMPLES), 'utf8');
    return {
      type: 'text/javascript',
      text: replaceOnce(
        replaceOnce(example, "'graphql-ws'", "'/graphql-ws/client.js'"),
        'PING_EVERY_MS = 20_000',
        `PING_EVERY_MS = ${pingEveryMs}`,
      ),
    };
  }
  const module = /^graphql-ws\/([\w-]+\.js)$/.exec(name)?.[1];
  if (module === undefined) throw new Error(`There is no page ${name}.`);
  return { type: 'text/javascript', text: await readFile(new URL(module, GRAPHQL_WS), 'utf8') };
};

const replaceOnce = (text: string, part: string, replacement: string): string => {
  if (text.split(part).length !== 2) throw new Error(`docs/examples/web.mjs must contain ${part} once.`);
  return text.replace(part, replacement);
};
