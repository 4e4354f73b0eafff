#!/usr/bin/env node
// Takes webhooks of the format STANDARD, and says what it was told.
//   WEBHOOK_SECRET=whsec_… PORT=8080 node docs/examples/webhooks/receiver.mjs
// Run it in this repository; in a project of your own, `npm install standardwebhooks` first.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// A table of your database, in earnest: these are gone with the process.
const taken = new Set();
const statuses = new Map();

/** What is done with an event; it may come twice, and one that was redelivered comes after newer ones. */
const apply = ({ cursor, userId, version, status, reason, platform }) => {
  if (taken.has(cursor)) return;
  taken.add(cursor);
  if (version >= (statuses.get(userId)?.version ?? 0)) statuses.set(userId, { version, status });
  console.log(`${userId} ${status} (${reason}, ${platform})`);
};

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) body += chunk;
  let message;
  try {
    // The body as it came: parsed and written again, it has another signature.
    message = webhook.verify(body, request.headers);
  } catch (error) {
    response.writeHead(401).end(`${error.message}\n`);
    return;
  }
  if (message.type === 'presence.events') message.data.events.forEach(apply);
  response.writeHead(204).end();
});
server.listen(process.env.PORT ?? 8080, () => console.log(`listening on ${server.address().port}`));
