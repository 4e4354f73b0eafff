// Presence with socket.io: a JWT in the handshake, a room for each user who is watched, an event answered for a
// heartbeat. It keeps nothing.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';
import { jwtVerify } from 'jose';

// Installed only for the bench; no other part needs it.
const library = 'socket.io';
const { Server } = await import(library);
const secret = Buffer.from(process.env['JWT_SECRET'] ?? '');
const http = createServer();
// The clients of the bench are too plain to answer pings.
const io = new Server(http, { transports: ['websocket'], perMessageDeflate: false, pingInterval: 600_000 });

io.use(async (/** @type {any} */ socket, /** @type {(error?: unknown) => void} */ next) => {
  try {
    const { payload } = await jwtVerify(socket.handshake.auth.token, secret, { algorithms: ['HS256'] });
    socket.data.userId = payload.sub;
    next();
  } catch (error) {
    next(error);
  }
});
io.on('connection', (/** @type {any} */ socket) => {
  socket.on('watch', (/** @type {string[]} */ ids, /** @type {() => void} */ done) => {
    for (const id of ids) socket.join(id);
    done();
  });
  publish(socket.data.userId, 'ONLINE', null);
  socket.on('disconnect', () => publish(socket.data.userId, 'OFFLINE', null));
  socket.on('beat', (/** @type {(answer: object) => void} */ done) => done({ heartbeatIntervalMs: 120_000 }));
  socket.on('text', (/** @type {string} */ text) => publish(socket.data.userId, 'ONLINE', text));
});

/** @param {string} userId @param {string} status @param {string | null} customStatus */
function publish(userId, status, customStatus) {
  io.to(userId).emit('status', [
    { userId, status, previousStatus: 'ONLINE', reason: 'CUSTOM_STATUS', version: 1, customStatus },
  ]);
}

http.listen(0, '127.0.0.1', () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') console.log(`ready at http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
