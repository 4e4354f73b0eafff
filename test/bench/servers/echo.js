// The floor of what goes over sockets: ws and nothing else. MODE says what it does with a message: `echo` answers it
// with ANSWER, `broadcast` sends ANSWER to all others.
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const { MODE = 'echo', ANSWER = '' } = process.env;
const http = createServer();
const server = new WebSocketServer({
  server: http,
  perMessageDeflate: false,
  clientTracking: false,
  handleProtocols: () => 'graphql-transport-ws',
});
/** @type {Set<import('ws').WebSocket>} */
const sockets = new Set();

server.on('connection', (socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('message', () => {
    if (MODE === 'echo') socket.send(ANSWER);
    else for (const other of sockets) if (other !== socket) other.send(ANSWER);
  });
});
http.listen(0, '127.0.0.1', () => {
  const address = http.address();
  if (address !== null && typeof address === 'object') console.log(`ready at http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
