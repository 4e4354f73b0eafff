#!/usr/bin/env node
// A phone: logs in, stays connected, beats, and says what becomes of its session. Cut it with Ctrl-C, or kill -9.
//   TOKEN=$(npx porchlight token --user alice) node docs/examples/phone.mjs [PLATFORM]
// Run it in this repository; in a project of your own, `npm install graphql-ws ws` first.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [platform = 'IPHONE'] = process.argv.slice(2);
const url = process.env.PORCHLIGHT_URL ?? 'http://localhost:4000/graphql';
const say = (...words) => console.log(new Date().toISOString().slice(11, 23), ...words);

const call = async (token, query, variables) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors.map(({ message, extensions }) => `${extensions?.code}: ${message}`).join('\n'));
  return data;
};

const { login } = await call(
  process.env.TOKEN,
  `mutation ($input: LoginInput!) {
    login(input: $input) { sessionToken heartbeatIntervalMs session { id platform } kicked { platform } }
  }`,
  { input: { platform, deviceId: `example-${platform.toLowerCase()}` } },
);
say(`logged in on ${platform}`, login.kicked.length > 0 ? `and kicked ${login.kicked[0].platform}` : '');

let ended;
const end = new Promise((resolve) => (ended = resolve));

// The socket is what keeps her ONLINE at once, and OFFLINE or PUSH_ONLINE at once when it is cut.
const socket = createClient({
  url: url.replace(/^http/, 'ws'),
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${login.sessionToken}` },
  lazy: false,
  shouldRetry: (event) => event.code !== 4410,
  on: {
    connected: () => say('connected'),
    closed: (event) => {
      say(`socket closed: ${event.code} ${event.reason}`);
      if (event.code === 4410) ended();
    },
  },
});

setInterval(
  () => call(login.sessionToken, 'mutation { heartbeat { session { status } } }').catch((error) => say(error.message)),
  login.heartbeatIntervalMs,
).unref();

try {
  for await (const { data, errors } of socket.iterate({
    query: 'subscription { sessionEnded { reason kickedBy endedAt } }',
  })) {
    if (errors) say(errors[0].message);
    else say('my session has ended:', data.sessionEnded.reason, data.sessionEnded.kickedBy ?? '');
  }
} catch (event) {
  // It had ended before it could ask to be told: the close reason has said why.
  if (event?.code !== 4410) throw event;
}
await end;
process.exit(0);
