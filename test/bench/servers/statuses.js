// The floor of a question about many users: their records in a map, the answer written by hand. STATE has the records.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';

/** @typedef {{ userId: string, status: string, lastSeenAt: string | null, reason: string | null }} Answer */

/** @type {Answer[]} */
const answers = JSON.parse(process.env['STATE'] ?? '[]');
const users = new Map(
  answers.map(({ userId, status, lastSeenAt, reason }) => [
    userId,
    { status, lastSeenAt: lastSeenAt === null ? null : Date.parse(lastSeenAt), reason },
  ]),
);

/** @param {string} id */
function written(id) {
  const user = users.get(id);
  if (user === undefined) return `{"userId":${JSON.stringify(id)},"status":"OFFLINE","lastSeenAt":null,"reason":null}`;
  const seen = user.lastSeenAt === null ? 'null' : `"${new Date(user.lastSeenAt).toISOString()}"`;
  return `{"userId":${JSON.stringify(id)},"status":"${user.status}","lastSeenAt":${seen},"reason":"${user.reason}"}`;
}

const http = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    /** @type {{ variables: { ids: string[] } }} */
    const { variables } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const body = `{"data":{"userStatuses":[${variables.ids.map(written).join(',')}]}}`;
    response.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  });
});
http.listen(0, '127.0.0.1', () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') console.log(`ready at http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
