/**
 * Compares the requests of a receiver with the log: each event at least once, in the order of each user's log, and
 * again only if it was in progress during a failure.
 */
import { expect } from 'vitest';
// eslint-disable-next-line no-restricted-imports -- the source is JavaScript, because it also runs without a build.
import type { Event } from '../user-history.js';
import { groupByUser } from '../crash/log-checks.ts';
import type { ReceivedRequest } from './receiver-process.ts';

/** Events in one request, without the rest of the last change. */
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

/** Matches when `count` different events arrived. For one path of one receiver, because it reads each request once. */
export const hasReceivedEvents = (count: number): ((requests: readonly ReceivedRequest[]) => boolean) => {
  const cursors = new Set<string>();
  let read = 0;
  return (requests) => {
    for (const request of requests.slice(read)) for (const { cursor } of eventsIn(request)) cursors.add(cursor);
    read = requests.length;
    return cursors.size >= count;
  };
};

/** A kill, by the wall clock: from just before it until no request in progress could arrive any more. */
export interface Kill {
  readonly from: number;
  readonly to: number;
}

/** True for a request that the server may count as failed, although the receiver recorded it. */
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

/** Compares all fields that the log query selected. */
const isSame = <E extends Event>(logged: E, received: E): boolean =>
  Object.entries(logged).every(([name, value]) => received[name as keyof E] === value);

const describeEvent = ({ userId, reason, version, cursor }: Event): string =>
  `${userId} ${reason} v${version} (${cursor})`;

/** The events that a user's requests contained so far, and those of the last request with this user. */
interface UserProgress {
  readonly count: number;
  readonly last: ReceivedRequest | null;
  readonly inLast: ReadonlySet<string>;
}

/**
 * Checks that each event of `log` arrived unchanged at least once, and that each user's events first arrived in the order
 * of the log. Repeated events must be from the last request with this user, which was not answered with 2xx, or whose
 * response may be lost because of a kill.
 * @param kills of the server or the receiver.
 */
export const expectDeliveredLog = <E extends Event>(
  requests: readonly ReceivedRequest[],
  log: readonly E[],
  kills: readonly Kill[] = [],
): void => {
  const wanted = groupByUser(log);
  const users = new Map<string, UserProgress>();
  const faults: string[] = [];
  for (const request of requests) {
    const events = eventsIn<E>(request);
    const tooMany = events.slice(MAX_BATCH).filter(({ changeId }) => changeId !== events[MAX_BATCH - 1]?.changeId);
    if (tooMany.length > 0) faults.push(`${events.length} events in one request`);
    for (const [userId, own] of groupByUser(events)) {
      const { count, last, inLast } = users.get(userId) ?? { count: 0, last: null, inLast: new Set() };
      const again = own.filter(({ cursor }) => inLast.has(cursor));
      if (again[0] !== undefined && last !== null && !mayBeRepeated(last, request, kills)) {
        faults.push(`repeated event: ${describeEvent(again[0])}`);
      }
      const fresh = own.filter(({ cursor }) => !inLast.has(cursor));
      for (const [index, event] of fresh.entries()) {
        const next = wanted.get(userId)?.[count + index];
        if (next !== undefined && isSame(next, event)) continue;
        faults.push(
          `received ${describeEvent(event)} where the log has ${next === undefined ? 'nothing' : describeEvent(next)}`,
        );
      }
      users.set(userId, { count: count + fresh.length, last: request, inLast: new Set(own.map((one) => one.cursor)) });
    }
  }
  for (const [userId, own] of wanted) {
    const count = users.get(userId)?.count ?? 0;
    if (count < own.length) faults.push(`${own.length - count} events of ${userId} are missing`);
  }
  expect(faults.length, faults.slice(0, 10).join('\n')).toBe(0);
};
