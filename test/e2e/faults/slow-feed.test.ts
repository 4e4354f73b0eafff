/** A backend that stops reading the event feed over HTTP: its stream ends with OVERLOADED, and it resumes at its cursor. */
import { expect, onTestFinished, test } from 'vitest';
import { codeOf, GraphqlSocket, type GraphqlResult } from '../../support/porchlight-client.ts';
import { SlowStream, type ReceivedMessage } from '../../support/faults/slow-reader.ts';
import {
  fetchLatestCursor,
  logIn,
  repeatedAliases,
  newUserId,
  NO_RATE_LIMITS,
  SET_CUSTOM_STATUS,
  startSharedServer,
  fetchUser,
} from '../support/users.ts';

const server = startSharedServer({ env: NO_RATE_LIMITS });

const LARGE_SELECTION = repeatedAliases(25);
const feed = (fields: string): string =>
  `subscription ($after: Cursor) { presenceEvents(after: $after) { cursor version ${fields} } }`;
const LONG_TEXT = '\u{1F600}'.repeat(60);
/** More events, of 6 KB each, than the unread limit and the kernel's socket buffers hold. */
const CHANGES = 12_000;
const IN_FLIGHT = 50;

interface FeedResult {
  readonly presenceEvents: readonly { readonly cursor: string; readonly version: number }[];
}

const follow = (after: string | null, fields = ''): SlowStream => {
  const stream = SlowStream.open(server, server.apiKey, feed(fields), { after });
  onTestFinished(() => stream.reset());
  return stream;
};

const eventsIn = (messages: readonly ReceivedMessage[]): FeedResult['presenceEvents'] =>
  messages.flatMap(({ payload }) => (payload as GraphqlResult<FeedResult> | undefined)?.data?.presenceEvents ?? []);

test(
  'a feed over HTTP that is not read ends with OVERLOADED, and its last cursor resumes without a gap or a repeat',
  { timeout: 120_000 },
  async () => {
    const device = await logIn(server, newUserId(), 'IPHONE');
    const writer = await GraphqlSocket.open(server, device.token);
    const start = await fetchLatestCursor(server);
    const stream = follow(start, LARGE_SELECTION);
    await writer.executeForData(SET_CUSTOM_STATUS, { text: 'first' });
    await stream.messages.next();
    stream.setPace('nothing');
    const fastStream = follow(start);
    let next = 0;
    const write = async (): Promise<void> => {
      while (next < CHANGES) await writer.executeForData(SET_CUSTOM_STATUS, { text: `${next++} ${LONG_TEXT}` });
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, write));
    stream.setPace('all');
    await expect.poll(() => stream.messages.all.at(-1)?.type, { timeout: 20_000 }).toBe('complete');
    const last = stream.messages.all.filter(({ type }) => type === 'next').at(-1);
    expect(codeOf(last?.payload as GraphqlResult<unknown>)).toBe('OVERLOADED');

    const received = eventsIn(stream.messages.all);
    expect(received.length).toBeLessThan(CHANGES);
    const resumed = follow(received.at(-1)?.cursor ?? null);
    const { version } = await fetchUser(server, device.userId);
    const rest = () => eventsIn(resumed.messages.all);
    await expect.poll(() => rest().at(-1)?.version, { timeout: 20_000 }).toBe(version);
    const all = Array.from({ length: version - 1 }, (_, index) => index + 2);
    expect([...received, ...rest()].map((event) => event.version)).toEqual(all);
    // The stream that was read received all events without an interruption.
    expect(eventsIn(fastStream.messages.all).map((event) => event.version)).toEqual(all);
  },
);
