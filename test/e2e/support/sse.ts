/** Subscriptions over HTTP, as Server-Sent Events. */
import { MessageQueue, type GraphqlResult } from '../../support/porchlight-client.ts';
import type { Server } from './users.ts';

export interface EventStream<T> extends AsyncDisposable {
  readonly status: number;
  readonly contentType: string;
  /** The payload of each event `next`, or of a JSON answer that rejects the subscription. */
  readonly results: MessageQueue<GraphqlResult<T>>;
  /** The names of all events, in order. */
  readonly events: readonly string[];
  /** Resolves when the stream has ended. */
  readonly ended: Promise<void>;
}

export const openEventStream = async <T>(
  server: Pick<Server, 'origin'>,
  token: string | null,
  query: string,
  variables?: Readonly<Record<string, unknown>>,
): Promise<EventStream<T>> => {
  const aborter = new AbortController();
  const response = await fetch(`${server.origin}/graphql`, {
    method: 'POST',
    headers: {
      accept: 'text/event-stream',
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ query, variables }),
    signal: aborter.signal,
  });
  const results = new MessageQueue<GraphqlResult<T>>();
  const events: string[] = [];
  const contentType = response.headers.get('content-type') ?? '';
  const read = async (): Promise<void> => {
    if (!contentType.startsWith('text/event-stream')) {
      results.push((await response.json()) as GraphqlResult<T>);
      return;
    }
    let text = '';
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) {
        const name = /^event: ?(.*)$/m.exec(block)?.[1];
        const data = /^data: ?(.*)$/m.exec(block)?.[1];
        if (name !== undefined) events.push(name);
        if (name === 'next' && data !== undefined) results.push(JSON.parse(data) as GraphqlResult<T>);
      }
    }
  };
  const ended = read().then(
    () => results.close(new Error('The stream has ended.')),
    (error: unknown) => results.close(error as Error),
  );
  return {
    status: response.status,
    contentType,
    results,
    events,
    ended,
    [Symbol.asyncDispose]: async () => {
      aborter.abort();
      await ended;
    },
  };
};
