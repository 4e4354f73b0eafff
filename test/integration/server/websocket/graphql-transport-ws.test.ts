/** What graphql-transport-ws asks of the server's side, where it is easily got wrong. */
import { expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const STATUS = '{ userStatuses(userIds: ["alice"]) { status } }';

test('a name that was taken back may be used again, and what it stood for before is not told under it', async () => {
  const harness = await ServerHarness.open();
  const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
  let answer = (): void => undefined;
  const read = vi.spyOn(harness.store, 'readUsers');
  read.mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return [];
  });
  wire.send({ type: 'subscribe', id: 'x', payload: { query: STATUS } });
  wire.send({ type: 'complete', id: 'x' });
  await wire.waitForRoundTrip();
  expect(read).toHaveBeenCalledTimes(1);
  wire.send({ type: 'subscribe', id: 'x', payload: { query: '{ __typename }' } });
  expect(await wire.nextMessage()).toEqual({ type: 'next', id: 'x', payload: { data: { __typename: 'Query' } } });
  expect(await wire.nextMessage()).toEqual({ type: 'complete', id: 'x' });
  answer();
  await wire.waitForRoundTrip();
  await wire.waitForRoundTrip();
  expect(wire.unreadMessages).toEqual([]);
});

test('a subscription taken back before its present has come is told nothing, and watches nobody', async () => {
  const harness = await ServerHarness.open();
  const wire = await TestSocket.connect(harness.socketUrl, API_KEY);
  let answer = (): void => undefined;
  vi.spyOn(harness.store, 'readUsers').mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return [];
  });
  const id = wire.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
  await wire.waitForRoundTrip();
  expect(harness.application.statusWatchers.watchedUserCount).toBe(1);
  wire.send({ type: 'complete', id });
  await wire.waitForRoundTrip();
  expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  answer();
  await harness.login('alice');
  await wire.waitForRoundTrip();
  expect(wire.unreadMessages).toEqual([]);
});
