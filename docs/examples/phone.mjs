#!/usr/bin/env node
// Simulates a phone: logs in, keeps a socket open, sends pings, and prints what happens to its session.
// Stop it with Ctrl-C or kill -9.
//   TOKEN=$(npx porchlight token --user alice) node docs/examples/phone.mjs [PLATFORM]
// It runs in this repository. In another project, run `npm install graphql-ws ws` first.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [platform = 'IPHONE'] = process.argv.slice(2);
const url = process.env.PORCHLIGHT_URL ?? 'http://localhost:4000/graphql';
const print = (...words) => console.log(new Date().toISOString().slice(11, 23), ...words);

const execute = async (token, query, variables) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(errors.map(({ message, extensions }) => `${extensions?.code}: ${message}`).join('\n'));
  return data;
};

const { login } = await execute(
  process.env.TOKEN,
  `mutation ($input: LoginInput!) {
    login(input: $input) { sessionToken heartbeatIntervalMs session { id platform } kicked { platform } }
  }`,
  { input: { platform, deviceId: `example-${platform.toLowerCase()}` } },
);
print(`logged in on ${platform}`, login.kicked.length > 0 ? `and kicked ${login.kicked[0].platform}` : '');

let resolveSessionEnd;
const sessionEnd = new Promise((resolve) => (resolveSessionEnd = resolve));

// While the socket is open the session is attached. When it closes, the session becomes PUSH_ONLINE or ends.
const socket = createClient({
  url: url.replace(/^http/, 'ws'),
  webSocketImpl: WebSocket,
  connectionParams: { authorization: `Bearer ${login.sessionToken}` },
  lazy: false,
  // A ping is activity, as a heartbeat is.
  keepAlive: login.heartbeatIntervalMs,
  shouldRetry: (event) => event.code !== 4410,
  on: {
    connected: () => print('connected'),
    closed: (event) => {
      print(`socket closed: ${event.code} ${event.reason}`);
      if (event.code === 4410) resolveSessionEnd();
    },
  },
});

try {
  for await (const { data, errors } of socket.iterate({
    query: 'subscription { sessionEnded { reason kickedBy endedAt } }',
  })) {
    if (errors) print(errors[0].message);
    else print('the session has ended:', data.sessionEnded.reason, data.sessionEnded.kickedBy ?? '');
  }
} catch (event) {
  // The session ended before the subscription started. The close reason has the cause.
  if (event?.code !== 4410) throw event;
}
await sessionEnd;
process.exit(0);
