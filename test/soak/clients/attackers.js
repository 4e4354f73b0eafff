// Attackers, each from an address of its own. The server must reject all of them, and its users must notice nothing.
import { Buffer } from 'node:buffer';
import { connect } from 'node:net';
import { Connection, ConnectionGone, NoAnswer } from './connection.js';
import { sleep } from '../time.js';
import { sign, userToken } from './tokens.js';
import { frame, SoakSocket } from './wire.js';

/** @typedef {import('../world.js').SoakWorld} World */
/** @typedef {import('../random.js').Random} Random */

const ADDRESS = '127.0.0.66';
const CLOSED_WITHIN_MS = 30_000;

/** @param {World} world @param {number} index */
export async function attacker(world, index) {
  const random = world.random(`attacker ${index}`);
  const kinds = /** @type {(keyof typeof ATTACKS)[]} */ (Object.keys(ATTACKS));
  const { pauses, journal, server, disturbances } = world;
  while (!world.isOver) {
    await pauses.pause(random.between(500, 3_000));
    if (world.changesStopped) continue;
    if (!server.isUp) await server.up();
    const kind = random.pick(kinds);
    const since = Date.now();
    journal.count(`attack: ${kind}`);
    try {
      const wrong = (await ATTACKS[kind]?.(world, random)) ?? null;
      // A server that is down rejects every request without an answer.
      if (wrong !== null && !world.isOver && !disturbances.between(since, Date.now()))
        journal.violate('attack', `${kind}: ${wrong}`);
    } catch (error) {
      if (error instanceof ConnectionGone || error instanceof NoAnswer) continue;
      world.reportError(error, `attack: ${kind}`, since, null);
    }
  }
}

/** @param {World} world @param {string | null} token @param {unknown} body */
const post = (world, token, body) =>
  world.http.send('/graphql', {
    token,
    body: typeof body === 'string' ? body : JSON.stringify(body),
    localAddress: ADDRESS,
  });

/** @param {{ status: number, text: string }} answer @param {readonly string[]} codes any of these is a refusal */
function refused({ status, text }, codes) {
  if (status >= 500 && !text.includes('OVERLOADED')) return `answered ${status} ${text.slice(0, 300)}`;
  if (/\bat .*\.(js|ts):\d/.test(text)) return `a stack trace: ${text.slice(0, 500)}`;
  if (codes.some((code) => text.includes(`"${code}"`)) || status === 413 || status === 429) return null;
  if (text.includes('RATE_LIMITED') || text.includes('OVERLOADED')) return null;
  return `not refused with ${codes.join(' or ')}, but ${status} ${text.slice(0, 300)}`;
}

/** What came of a socket. @param {SoakSocket} wire @returns {Promise<import('./wire.js').Closed | null>} */
async function fate(wire, withinMs = CLOSED_WITHIN_MS) {
  /** @type {Promise<import('./wire.js').Closed>} */
  const closed = new Promise((resolve) => (wire.closed === null ? (wire.onClosed = resolve) : resolve(wire.closed)));
  return Promise.race([closed, sleep(withinMs).then(() => null)]);
}

/** @param {SoakSocket} wire @param {readonly number[]} codes */
async function closedWith(wire, codes) {
  const closed = await fate(wire);
  wire.rst();
  if (closed === null) return 'its socket stays open';
  return codes.includes(closed.code) ? null : `closed with ${closed.code} ${closed.reason}`;
}

/** @param {World} world @param {import('./wire.js').WireOptions} [options] */
const newWire = (world, options) => new SoakSocket(world.server.port, { localAddress: ADDRESS, ...options });

/** Each resolves with what is wrong about how it was met; null: nothing. @type {Record<string, (world: World, random: Random) => Promise<string | null>>} */
const ATTACKS = {
  async garbage(world, random) {
    const socket = connect({ port: world.server.port, host: '127.0.0.1', localAddress: ADDRESS });
    socket.on('error', () => undefined);
    socket.write(Buffer.from(Array.from({ length: 500 }, () => random.int(256))));
    await sleep(500);
    socket.destroy();
    return null;
  },

  async 'garbage frames'(world, random) {
    const wire = newWire(world);
    if ((await wire.opened) !== 101) return null;
    const frames = [
      Buffer.from([0x81, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f]),
      frame(11, Buffer.from('reserved')),
      frame(1, Buffer.from([0xff, 0xfe, 0xc0])),
      frame(2, Buffer.from('binary')),
      frame(1, Buffer.from('{"type":')),
      frame(1, Buffer.from('{"type":"subscribe","id":"1","payload":{"query":"{ me { id } }"}}')),
    ];
    wire.write(random.pick(frames));
    return closedWith(wire, [1002, 1003, 1006, 1007, 4400, 4401, 4414]);
  },

  async 'half a frame'(world) {
    const wire = newWire(world);
    if ((await wire.opened) !== 101) return null;
    wire.write(Buffer.from([0x81, 0xfe, 0x10]));
    return closedWith(wire, [4408, 1006, 4414]);
  },

  async 'huge frame'(world) {
    const wire = newWire(world);
    if ((await wire.opened) !== 101) return null;
    wire.write(frame(1, Buffer.alloc(600 * 1_024, 0x20)));
    return closedWith(wire, [1009, 1006, 4414, 4400]);
  },

  async 'foreign origin'(world) {
    const wire = newWire(world, { headers: { origin: 'https://evil.example' } });
    const status = await wire.opened;
    wire.rst();
    return status === 101 ? 'its socket was opened' : null;
  },

  async 'no init'(world) {
    const wires = Array.from({ length: 20 }, () => newWire(world));
    const all = await Promise.all(wires.map((wire) => closedWith(wire, [4408, 4414, 1006])));
    return all.find((wrong) => wrong !== null) ?? null;
  },

  async flood(world, random) {
    const userId = `flooder ${random.int(3)}`;
    const connection = new Connection(world.server.port, { localAddress: ADDRESS });
    try {
      await connection.init(userToken(userId));
      const { data } = await connection.request('mutation { login(input: {platform: WEB}) { sessionToken } }');
      if (data == null) return null;
      let limited = 0;
      for (let index = 0; index < 3_000; index++) {
        connection.subscribe('mutation { heartbeat { heartbeatIntervalMs } }', undefined, {
          next: ({ errors }) => {
            if (errors?.[0]?.extensions?.code === 'RATE_LIMITED') limited++;
          },
          end: () => undefined,
        });
      }
      const closed = await fate(connection.socket, 3_000);
      if (limited === 0 && closed?.code !== 4414) return 'the flood was not limited';
      world.journal.count('floods held back');
      return null;
    } finally {
      connection.socket.rst();
    }
  },

  async slowloris(world) {
    const socket = connect({ port: world.server.port, host: '127.0.0.1', localAddress: ADDRESS });
    socket.on('error', () => undefined);
    socket.resume();
    socket.write('POST /graphql HTTP/1.1\r\nHost: a\r\n');
    let isClosed = false;
    socket.on('close', () => (isClosed = true));
    for (let turn = 0; turn < 40 && !isClosed && !world.isOver; turn++) {
      await sleep(1_000);
      socket.write('x');
    }
    socket.destroy();
    return null;
  },

  async 'forged tokens'(world, random) {
    const now = Math.floor(Date.now() / 1_000);
    const claims = { sub: 'user-1', iat: now, exp: now + 600 };
    const [head, body] = userToken('user-1').split('.');
    const token = random.pick([
      sign(claims, { secret: 'another secret, which is as long as the first' }),
      sign({ ...claims, exp: now - 60 }),
      sign({ sub: 'user-1', iat: now }),
      sign(claims, { header: { alg: 'none', typ: 'JWT' } }),
      sign(claims, { secret: '', header: { alg: 'HS256', kid: '../../../../dev/null' } }),
      `${head}.${body}.`,
      'x'.repeat(9_000),
      'null',
    ]);
    if (random.chance(0.5))
      return refused(await post(world, token, { query: '{ userStatus(userId: "a") { status } }' }), [
        'UNAUTHENTICATED',
      ]);
    const wire = newWire(world);
    if ((await wire.opened) !== 101) return null;
    wire.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
    return closedWith(wire, [4401, 4413, 4414]);
  },

  async 'deep and wide documents'(world, random) {
    const deep = `{ onlineUsers { nodes { ${'sessions { '.repeat(30)} id ${'} '.repeat(30)} } } }`;
    const query = random.pick([
      deep,
      `{ ${Array.from({ length: 5_000 }, (_, index) => `a${index}: __typename`).join(' ')} }`,
      `{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }`,
      `{ __typename ${'@include(if: true) '.repeat(300)} }`,
      `{ ${'userStatus(userId: "a") { status } '.repeat(2_000)} }`,
      '{'.repeat(20_000),
      '{ nothing }',
      '"',
    ]);
    return refused(await post(world, userToken('attacker'), { query }), [
      'GRAPHQL_VALIDATION_FAILED',
      'GRAPHQL_PARSE_FAILED',
      'BAD_USER_INPUT',
      'BAD_REQUEST',
    ]);
  },

  async 'too many ids'(world, random) {
    const ids = Array.from({ length: random.pick([501, 5_000, 100_000]) }, (_, index) => `user-${index}`);
    const query = 'query ($ids: [ID!]!) { userStatuses(userIds: $ids) { status } }';
    return refused(await post(world, userToken('attacker', { watch: '*' }), { query, variables: { ids } }), [
      'TOO_MANY_USERS',
    ]);
  },

  async 'odd ids'(world, random) {
    const id = random.pick(['a\u0000b', '\u001b[31m', 'x'.repeat(129), '', 'line\nbreak', '\u007f']);
    const query = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
    return refused(await post(world, userToken('attacker', { watch: '*' }), { query, variables: { id } }), [
      'BAD_USER_INPUT',
    ]);
  },

  async stalking(world, random) {
    const query = 'query ($id: ID!) { userStatus(userId: $id) { status } }';
    const answer = await post(world, userToken('stalker', { watch: [] }), {
      query,
      variables: { id: random.pick(world.userIds) },
    });
    return refused(answer, ['FORBIDDEN']);
  },

  async 'a backend’s questions'(world, random) {
    const query = random.pick([
      '{ stats { sockets } }',
      '{ events { nodes { userId } } }',
      '{ onlineUsers { nodes { userId } } }',
      'mutation { endSessions(input: {userId: "user-1"}) { ended { id } } }',
      '{ webhooks { url } }',
      '{ webhookDeliveries { nodes { events { userId } } } }',
      'mutation { createWebhook(input: {url: "https://attacker.example"}) { secret } }',
      'mutation { updatePolicy(input: {preset: CURRENT}) { policy { pushOnlineExpiryMs } } }',
    ]);
    return refused(await post(world, random.pick([userToken('attacker'), null]), { query }), [
      'FORBIDDEN',
      'UNAUTHENTICATED',
    ]);
  },

  async 'broken bodies'(world, random) {
    const body = random.pick([
      '{"query":',
      '[]',
      'null',
      '{"query":1}',
      '{"__proto__":{"query":"{ stats { sockets } }"}}',
      '\u0000'.repeat(100),
    ]);
    const { status, text } = await post(world, userToken('attacker'), body);
    return status >= 400 && status < 500 && !/\bat .*\.js:\d/.test(text) ? null : `${status} ${text.slice(0, 300)}`;
  },
};
