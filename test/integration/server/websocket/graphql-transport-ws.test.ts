/** Rules of graphql-transport-ws about ids and cancelled operations. */
import { expect, test, vi } from 'vitest';
import { API_KEY, ServerHarness } from '../support/server-harness.ts';
import { TestSocket } from '../support/test-socket.ts';

const STATUS = '{ userStatuses(userIds: ["alice"]) { status } }';

test('the id of a cancelled operation can be reused, and the cancelled operation sends nothing under it', async () => {
  const harness = await ServerHarness.open();
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  let finishRead = (): void => undefined;
  const read = vi.spyOn(harness.store, 'readUsers');
  read.mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      finishRead = resolve;
    });
    return [];
  });
  socket.send({ type: 'subscribe', id: 'x', payload: { query: STATUS } });
  socket.send({ type: 'complete', id: 'x' });
  await socket.waitForRoundTrip();
  expect(read).toHaveBeenCalledTimes(1);
  socket.send({ type: 'subscribe', id: 'x', payload: { query: '{ __typename }' } });
  expect(await socket.nextMessage()).toEqual({ type: 'next', id: 'x', payload: { data: { __typename: 'Query' } } });
  expect(await socket.nextMessage()).toEqual({ type: 'complete', id: 'x' });
  finishRead();
  await socket.waitForRoundTrip();
  await socket.waitForRoundTrip();
  expect(socket.unreadMessages).toEqual([]);
});

test('a subscription that is completed before its snapshot sends nothing and releases its watches', async () => {
  const harness = await ServerHarness.open();
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  let finishRead = (): void => undefined;
  vi.spyOn(harness.store, 'readUsers').mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      finishRead = resolve;
    });
    return [];
  });
  const id = socket.subscribe('subscription { statusChanges(userIds: ["alice"]) { status } }');
  await socket.waitForRoundTrip();
  expect(harness.application.statusWatchers.watchedUserCount).toBe(1);
  socket.send({ type: 'complete', id });
  await socket.waitForRoundTrip();
  expect(harness.application.statusWatchers.watchedUserCount).toBe(0);
  finishRead();
  await harness.login('alice');
  await socket.waitForRoundTrip();
  expect(socket.unreadMessages).toEqual([]);
});
