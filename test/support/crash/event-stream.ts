/** Subscriptions over Server-Sent Events, and a helper that retries a check. */
import type { GraphqlResult } from '../porchlight-client.ts';
import { MessageQueue } from '../porchlight-client.ts';
import type { PorchlightProcess } from '../porchlight-process.ts';

export interface EventStream<T> {
  readonly inbox: MessageQueue<GraphqlResult<T>>;
  /** Closes the connection from the client's side. */
  disconnect(): void;
}

/** Closes the inbox when the stream ends, on either side. */
export const openStream = <T>(
  server: Pick<PorchlightProcess, 'origin'>,
  token: string,
  query: string,
  variables: object = {},
): EventStream<T> => {
  const inbox = new MessageQueue<GraphqlResult<T>>();
  const stop = new AbortController();
  const read = async (): Promise<void> => {
    const response = await fetch(`${server.origin}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${token}`,
      },
      body: JSON.stringify({ query, variables }),
      signal: stop.signal,
    });
    if (response.body === null) throw new Error(`No stream but ${response.status}`);
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true });
      const parts = text.split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) handleBlock(part);
    }
    throw new Error('The stream has ended.');
  };
  const handleBlock = (part: string): void => {
    const data = /^data: (.+)$/m.exec(part)?.[1];
    if (/^event: next$/m.test(part) && data !== undefined) inbox.push(JSON.parse(data) as GraphqlResult<T>);
  };
  read().catch((error: unknown) => inbox.close(error instanceof Error ? error : new Error(String(error))));
  return { inbox, disconnect: () => stop.abort() };
};

/** Retries `check` until it no longer throws, for state that must be polled. */
export const retryUntilPasses = async <T>(check: () => Promise<T> | T, withinMs = 5_000): Promise<T> => {
  for (const until = performance.now() + withinMs; ;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > until) throw error;
      await delay(20);
    }
  }
};

export const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
