#!/usr/bin/env node
// Receives webhooks of the format STANDARD and prints their events.
//   WEBHOOK_SECRET=whsec_… PORT=8080 node docs/examples/webhooks/receiver.mjs
// Run it in this repository; in a project of your own, `npm install standardwebhooks` first.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET);
// In production, use tables of your database: these are lost with the process.
const taken = new Set();
const statuses = new Map();

/** Handles an event. It may arrive twice, and a redelivered event arrives after newer ones. */
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
    // The signature covers the exact bytes of the body. A body that was parsed and serialised again differs.
    message = webhook.verify(body, request.headers);
  } catch (error) {
    response.writeHead(401).end(`${error.message}\n`);
    return;
  }
  if (message.type === 'presence.events') message.data.events.forEach(apply);
  response.writeHead(204).end();
});
server.listen(process.env.PORT ?? 8080, () => console.log(`listening on ${server.address().port}`));
