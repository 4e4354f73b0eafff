/**
 * Server-Sent Events in a form that proxies forward at once. Comments keep a stream open while it has no events, because
 * most proxies close a connection on which nothing is sent for a minute.
 */
import type { ExecutionResult } from 'graphql';
import { isAsyncIterable, type getSSEProcessor, type Plugin } from 'graphql-yoga';

type ResultProcessor = ReturnType<typeof getSSEProcessor>;

const EVENT_STREAM = 'text/event-stream';

const EVENT_STREAM_HEADERS: Readonly<Record<string, string>> = {
  // `no-transform`: a proxy that compresses the stream holds events back until its buffer is full.
  'Cache-Control': 'no-cache, no-transform',
  // nginx does not read `no-transform`, but compresses no response that has a content coding.
  'Content-Encoding': 'none',
  // nginx forwards the stream without buffering it.
  'X-Accel-Buffering': 'no',
};

/** Clients ignore it. */
const COMMENT = Buffer.from(':\n\n');

/**
 * The plugin that writes the event streams of yoga.
 * @param commentIntervalMs between two comments. The first one is sent at once, before any event.
 */
export const createEventStreamPlugin = (commentIntervalMs: number): Plugin => {
  const sendStream: ResultProcessor = (result, fetchAPI) => {
    if (!isAsyncIterable<ExecutionResult>(result)) throw new Error('An event stream needs a stream of results.');
    const results = result[Symbol.asyncIterator]();
    let commentTimer: NodeJS.Timeout | undefined;
    // Unlike a stream of node, the one of yoga is cancelled when the client disconnects.
    const body = new (fetchAPI.ReadableStream as typeof ReadableStream<Uint8Array>)({
      start: (controller) => {
        controller.enqueue(COMMENT);
        commentTimer = setInterval(() => {
          // While the client reads nothing, comments would only fill the memory.
          if ((controller.desiredSize ?? 0) > 0) controller.enqueue(COMMENT);
        }, commentIntervalMs);
      },
      pull: async (controller) => {
        const item = await results.next();
        if (item.done !== true) {
          controller.enqueue(Buffer.from(`event: next\ndata: ${JSON.stringify(item.value)}\n\n`));
          return;
        }
        clearInterval(commentTimer);
        controller.enqueue(Buffer.from('event: complete\ndata:\n\n'));
        controller.close();
      },
      cancel: async () => {
        clearInterval(commentTimer);
        await results.return?.();
      },
    });
    return new fetchAPI.Response(body, { status: 200, headers: { 'Content-Type': EVENT_STREAM } });
  };
  return {
    // Runs after yoga has selected how it sends the result. It sends a stream of results as events only.
    onResultProcess: (selection) => {
      if (selection.resultProcessor !== undefined && isAsyncIterable(selection.result)) {
        selection.setResultProcessor(sendStream, EVENT_STREAM);
      }
    },
    onResponse: ({ response: { headers } }) => {
      // Node sets both. They depend on the connection, which may be HTTP/1.0.
      headers.delete('Connection');
      headers.delete('Transfer-Encoding');
      if (headers.get('Content-Type') !== EVENT_STREAM) return;
      for (const [name, value] of Object.entries(EVENT_STREAM_HEADERS)) headers.set(name, value);
    },
  };
};
