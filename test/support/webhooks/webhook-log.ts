/**
 * What a receiver was told, held against the log: everything at least once, in the order of each user's log, and
 * again only what was under way when something went wrong.
 */
import { expect } from 'vitest';
// eslint-disable-next-line no-restricted-imports -- that is the source: what has no build runs it too.
import type { Event } from '../user-history.js';
import { groupByUser } from '../crash/crash-log.ts';
import type { ReceivedRequest } from './receiver-process.ts';

/** Events in one request, but for the rest of the last one's change. */
const MAX_BATCH = 100;

interface Payload<E> {
  readonly type: string;
  readonly timestamp: string;
  readonly data: { readonly events?: readonly E[] };
}

export const payloadOf = <E extends Event = Event>({ body }: ReceivedRequest): Payload<E> =>
  JSON.parse(body) as Payload<E>;

/** The events of a request in the STANDARD format; none for a test. */
export const eventsIn = <E extends Event = Event>(request: ReceivedRequest): readonly E[] =>
  payloadOf<E>(request).data.events ?? [];

/** Fits as soon as so many different events were told. For one path of one receiver: it looks at each request once. */
export const hasReceivedEvents = (count: number): ((requests: readonly ReceivedRequest[]) => boolean) => {
  const cursors = new Set<string>();
  let read = 0;
  return (requests) => {
    for (const request of requests.slice(read)) for (const { cursor } of eventsIn(request)) cursors.add(cursor);
    read = requests.length;
    return cursors.size >= count;
  };
};

/** Somebody was killed, by the wall clock: from the moment before until nothing that was on its way could come any more. */
export interface Kill {
  readonly from: number;
  readonly to: number;
}

/** True of a request that may have been taken for a failure, although it was kept. */
const mayBeRepeated = (
  { status, behaviour, at }: ReceivedRequest,
  again: ReceivedRequest,
  kills: readonly Kill[],
): boolean =>
  behaviour !== 'answer' ||
  status === null ||
  status < 200 ||
  status >= 300 ||
  kills.some(({ from, to }) => at <= to && again.at >= from);

/** In all that the log was asked for. */
const isSame = <E extends Event>(logged: E, told: E): boolean =>
  Object.entries(logged).every(([name, value]) => told[name as keyof E] === value);

const words = ({ userId, reason, version, cursor }: Event): string => `${userId} ${reason} v${version} (${cursor})`;

/** How far a user has been told, and what the request that spoke of her last said of her. */
interface Progress {
  readonly count: number;
  readonly last: ReceivedRequest | null;
  readonly inLast: ReadonlySet<string>;
}

/**
 * Every event of `log`, as it stands there, was told at least once; each user's in the order of the log, by when they
 * were first told; and what was told again is of the last request that spoke of the user, which was not answered with
 * 2xx, or whose answer may have got lost when one of the two was killed.
 * @param kills of the server or the receiver.
 */
export const expectDeliveredLog = <E extends Event>(
  requests: readonly ReceivedRequest[],
  log: readonly E[],
  kills: readonly Kill[] = [],
): void => {
  const wanted = groupByUser(log);
  const users = new Map<string, Progress>();
  const faults: string[] = [];
  for (const request of requests) {
    const events = eventsIn<E>(request);
    const tooMany = events.slice(MAX_BATCH).filter(({ changeId }) => changeId !== events[MAX_BATCH - 1]?.changeId);
    if (tooMany.length > 0) faults.push(`${events.length} events in one request`);
    for (const [userId, own] of groupByUser(events)) {
      const { count, last, inLast } = users.get(userId) ?? { count: 0, last: null, inLast: new Set() };
      const again = own.filter(({ cursor }) => inLast.has(cursor));
      if (again[0] !== undefined && last !== null && !mayBeRepeated(last, request, kills)) {
        faults.push(`told again: ${words(again[0])}`);
      }
      const fresh = own.filter(({ cursor }) => !inLast.has(cursor));
      for (const [index, event] of fresh.entries()) {
        const next = wanted.get(userId)?.[count + index];
        if (next !== undefined && isSame(next, event)) continue;
        faults.push(`told ${words(event)} where the log has ${next === undefined ? 'nothing' : words(next)}`);
      }
      users.set(userId, { count: count + fresh.length, last: request, inLast: new Set(own.map((one) => one.cursor)) });
    }
  }
  for (const [userId, own] of wanted) {
    const count = users.get(userId)?.count ?? 0;
    if (count < own.length) faults.push(`${own.length - count} events of ${userId} were never told`);
  }
  expect(faults.length, faults.slice(0, 10).join('\n')).toBe(0);
};
