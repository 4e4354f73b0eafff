/** The timeouts of half-sent requests are extended by the length of a process pause. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { createPausingClock } from '../../support/crash/fake-clock.ts';
import { createRestartHarness } from '../../support/crash/restart-harness.ts';
import type { PorchlightProcess } from '../../support/porchlight-process.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_FAKETIME = isMissing('faketime', 'requests that were half sent when the process paused');

/** Longer than the timeouts of a request head and of a whole request. */
const PAUSE_S = 45;
const REQUEST_BODY = JSON.stringify({ query: '{ __typename }' });
const HEAD = 'Host: x\r\nConnection: close\r\n';
/** The parts of each request that are sent before and after the pause. */
const SPLIT_REQUESTS: readonly (readonly [string, string])[] = [
  [`GET /health/live HTTP/1.1\r\n${HEAD}`, '\r\n'],
  [
    `POST /graphql HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\nContent-Length: ${REQUEST_BODY.length}\r\n\r\n{`,
    REQUEST_BODY.slice(1),
  ],
];

const sendFirstPart = async ({ port }: PorchlightProcess, half: string) => {
  const socket = connect(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  socket.write(half);
  return { socket, answer: text(socket) };
};

test.skipIf(LACKS_FAKETIME)(
  'request heads and bodies that were half sent before a process pause do not time out because of it',
  async () => {
    await using harness = createRestartHarness();
    const clock = createPausingClock(join(harness.directory, 'clock'));
    const server = await harness.start(clock.env);
    /** Resolves when the server has read all earlier data and checked its request timeouts. */
    const roundTrip = async (): Promise<void> => void (await (await fetch(`${server.origin}/health/live`)).text());
    const started = await Promise.all(SPLIT_REQUESTS.map(([half]) => sendFirstPart(server, half)));
    await roundTrip();
    server.signal('SIGSTOP');
    clock.pauseFor(PAUSE_S);
    server.signal('SIGCONT');
    await roundTrip();
    SPLIT_REQUESTS.forEach(([, rest], index) => started[index]?.socket.write(rest));
    const answers = await Promise.all(started.map(({ answer }) => answer));
    expect(answers.map((answer) => answer.slice(0, 12))).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);
