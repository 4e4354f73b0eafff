import { describe, expect, test } from 'vitest';
import { SocketLimiter, type LimitedSocket } from '../../../../src/server/limits/socket-limiter.ts';

const LIMITS = { maxSockets: 1_000, maxSocketsPerUser: 0, maxSocketsPerAddress: 0 };

/** A socket that retains a credential of that length until it is evicted or `release` is called. */
const createSocket = (limiter: () => SocketLimiter, retainedLength: number) => {
  let retained = retainedLength;
  const socket = {
    network: '192.0.2.1',
    wasEvicted: false,
    get retainedLength(): number {
      return retained;
    },
    release: (): void => {
      limiter().markInitialised(socket);
      retained = 0;
    },
    evict: (): void => {
      socket.wasEvicted = true;
      socket.release();
    },
  };
  return socket satisfies LimitedSocket;
};

describe('SocketLimiter', () => {
  const open = (maxRetainedLength: number) => {
    const limiter = new SocketLimiter(LIMITS, maxRetainedLength);
    const add = (retainedLength: number) => {
      const socket = createSocket(() => limiter, retainedLength);
      limiter.addSocket(socket);
      return socket;
    };
    return { limiter, add };
  };

  test('evicts the oldest sockets without connection_init until the others retain no more than the limit', () => {
    const { limiter, add } = open(100);
    const sockets = [add(10), add(0), add(50), add(40)];
    expect(sockets.map(({ wasEvicted }) => wasEvicted)).toEqual([false, false, false, false]);
    const newest = add(45);
    expect(sockets.map(({ wasEvicted }) => wasEvicted)).toEqual([true, true, true, false]);
    expect(newest.wasEvicted).toBe(false);
    expect(limiter.uninitialisedCount).toBe(2);
  });

  test('does not count what sockets released with connection_init or closed before it', () => {
    const { limiter, add } = open(100);
    const initialised = add(90);
    initialised.release();
    initialised.release();
    const closed = add(90);
    limiter.removeSocket(closed);
    const [first, second] = [add(60), add(40)];
    expect([first.wasEvicted, second.wasEvicted]).toEqual([false, false]);
    add(1);
    expect([first.wasEvicted, second.wasEvicted]).toEqual([true, false]);
  });

  test('keeps a new socket that alone retains more than the limit', () => {
    const { add } = open(100);
    const before = add(1);
    const long = add(500);
    expect([before.wasEvicted, long.wasEvicted]).toEqual([true, false]);
    expect(add(1).wasEvicted).toBe(false);
    expect(long.wasEvicted).toBe(true);
  });

  test('evicts the oldest socket when a quarter of maxSockets has sent no connection_init', () => {
    const limiter = new SocketLimiter({ ...LIMITS, maxSockets: 8 });
    const sockets = [0, 0, 0].map((length) => createSocket(() => limiter, length));
    for (const socket of sockets) limiter.addSocket(socket);
    expect(sockets.map(({ wasEvicted }) => wasEvicted)).toEqual([true, false, false]);
  });
});
