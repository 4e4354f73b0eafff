/** A backend that follows the feed over HTTP and stops reading: it is told so, and goes on where it was. */
import { expect, onTestFinished, test } from 'vitest';
import { codeOf, Socket, type Answer } from '../../support/porchlight-client.ts';
import { SlowStream, type Heard } from '../../support/faults/slow-reader.ts';
import {
  latestCursor,
  logIn,
  manyNames,
  newUser,
  NO_RATES,
  SET_CUSTOM_STATUS,
  sharedServer,
  userSeen,
} from '../support/users.ts';

const server = sharedServer({ env: NO_RATES });

const FAT = manyNames(25);
const feed = (fields: string): string =>
  `subscription ($after: Cursor) { presenceEvents(after: $after) { cursor version ${fields} } }`;
const LONG = '\u{1F600}'.repeat(60);
/** More than may be left unread, beside what kernels hold of it: 6 KB each. */
const CHANGES = 12_000;
const IN_FLIGHT = 50;

interface Followed {
  readonly presenceEvents: readonly { readonly cursor: string; readonly version: number }[];
}

const follow = (after: string | null, fields = ''): SlowStream => {
  const stream = SlowStream.open(server, server.apiKey, feed(fields), { after });
  onTestFinished(() => stream.leave());
  return stream;
};

const eventsIn = (heard: readonly Heard[]): Followed['presenceEvents'] =>
  heard.flatMap(({ payload }) => (payload as Answer<Followed> | undefined)?.data?.presenceEvents ?? []);

test(
  'over HTTP it ends with OVERLOADED, and its last cursor resumes without a gap or a repeat',
  { timeout: 120_000 },
  async () => {
    const device = await logIn(server, newUser(), 'IPHONE');
    const writer = await Socket.open(server, device.token);
    const start = await latestCursor(server);
    const stream = follow(start, FAT);
    await writer.ask(SET_CUSTOM_STATUS, { text: 'heard' });
    await stream.messages.next();
    stream.reads('nothing');
    const brisk = follow(start);
    let next = 0;
    const write = async (): Promise<void> => {
      while (next < CHANGES) await writer.ask(SET_CUSTOM_STATUS, { text: `${next++} ${LONG}` });
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, write));
    stream.reads('all');
    await expect.poll(() => stream.messages.all.at(-1)?.type, { timeout: 20_000 }).toBe('complete');
    const last = stream.messages.all.filter(({ type }) => type === 'next').at(-1);
    expect(codeOf(last?.payload as Answer<unknown>)).toBe('OVERLOADED');

    const heard = eventsIn(stream.messages.all);
    expect(heard.length).toBeLessThan(CHANGES);
    const again = follow(heard.at(-1)?.cursor ?? null);
    const { version } = await userSeen(server, device.userId);
    const rest = () => eventsIn(again.messages.all);
    await expect.poll(() => rest().at(-1)?.version, { timeout: 20_000 }).toBe(version);
    const all = Array.from({ length: version - 1 }, (_, index) => index + 2);
    expect([...heard, ...rest()].map((event) => event.version)).toEqual(all);
    // Who reads has had all of it in one go.
    expect(eventsIn(brisk.messages.all).map((event) => event.version)).toEqual(all);
  },
);
