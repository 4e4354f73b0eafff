// The floor of what goes over HTTP: node:http, JSON in, JSON out. ANSWER is what it answers.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';

const answer = JSON.parse(process.env['ANSWER'] ?? '{}');

const http = createServer({ keepAliveTimeout: 65_000 }, (request, response) => {
  /** @type {Buffer[]} */
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const { query } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
    const body = JSON.stringify(typeof query === 'string' ? answer : {});
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
