/** What was half sent when the whole server stood still has as much longer to come as the server slept. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { sleepersClock } from '../../support/crash/crash-clock.ts';
import { newPlace } from '../../support/crash/crash-restart.ts';
import type { PorchlightProcess } from '../../support/porchlight-process.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_FAKETIME = isMissing('faketime', 'requests that were half sent when the process paused');

/** Longer than a head may take, and than a whole request. */
const SLEEP_S = 45;
const ASK = JSON.stringify({ query: '{ __typename }' });
const HEAD = 'Host: x\r\nConnection: close\r\n';
/** What is sent before the sleep, and after it. */
const HALVES: readonly (readonly [string, string])[] = [
  [`GET /health/live HTTP/1.1\r\n${HEAD}`, '\r\n'],
  [
    `POST /graphql HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\nContent-Length: ${ASK.length}\r\n\r\n{`,
    ASK.slice(1),
  ],
];

const begin = async ({ port }: PorchlightProcess, half: string) => {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  socket.write(half);
  return { socket, answer: text(socket) };
};

test.skipIf(LACKS_FAKETIME)('heads and bodies that were half sent before a sleep are no later for it', async () => {
  await using place = newPlace();
  const clock = sleepersClock(join(place.directory, 'clock'));
  const server = await place.start(clock.env);
  /** It has read what came before, and looked at who is late. */
  const turned = async (): Promise<void> => void (await (await fetch(`${server.origin}/health/live`)).text());
  const begun = await Promise.all(HALVES.map(([half]) => begin(server, half)));
  await turned();
  server.signal('SIGSTOP');
  clock.sleptFor(SLEEP_S);
  server.signal('SIGCONT');
  await turned();
  HALVES.forEach(([, rest], index) => begun[index]?.socket.write(rest));
  const answers = await Promise.all(begun.map(({ answer }) => answer));
  expect(answers.map((answer) => answer.slice(0, 12))).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});
