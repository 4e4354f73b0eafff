// As much of XMPP as the bench needs of ejabberd: SASL PLAIN with a JWT, presence to who is subscribed to it, pings.
import { Buffer } from 'node:buffer';
import { connect as connectSocket } from 'node:net';
import { repeated } from '../../measure.js';
import { oneByOne } from '../one-by-one.js';
import { ring, socketLoad } from '../socket-load.js';
import { caughtUp, everyone } from '../received.js';
import { userToken } from '../tokens.js';
import { openMany } from '../web-socket.js';
import { BenchSocket } from '../wire.js';

export const XMPP_HOST = 'localhost';

const HEADER =
  `<stream:stream to='${XMPP_HOST}' version='1.0' xmlns='jabber:client' ` +
  "xmlns:stream='http://etherx.jabber.org/streams'>";
const SOCKETS = 100;
const IN_FLIGHT = 8;
const LOGINS_AT_ONCE = 50;

/** @param {string} text */
const utf8 = (text) => Buffer.from(text);

/** @param {string} id */
const ping = (id) => `<iq type='get' id='${id}' to='${XMPP_HOST}'><ping xmlns='urn:xmpp:ping'/></iq>`;

/** @param {string} userId */
const jidOf = (userId) => `${userId}@${XMPP_HOST}`;

class XmppStream extends BenchSocket {
  /** @returns {Promise<XmppStream>} */
  static open(/** @type {number} */ port) {
    return new Promise((resolve, reject) => {
      const socket = connectSocket({ port, host: '127.0.0.1', noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new XmppStream(socket));
      });
    });
  }

  /**
   * Reports each stanza. No stanza of ejabberd contains another of its own name, so it ends at the first end tag.
   * @override
   * @param {Buffer} data
   * @param {number} at
   */
  frame(data, at) {
    const tagEnd = data.indexOf('>', at);
    if (tagEnd < 0) return -1;
    const [name = ''] = data.toString('latin1', at + 1, tagEnd).split(/[\s/]/, 1);
    const opensOnly = name === 'stream:stream' || name === '?xml' || data[tagEnd - 1] === 0x2f;
    const closing = opensOnly ? tagEnd : data.indexOf(`</${name}>`, tagEnd);
    if (closing < 0) return -1;
    const end = opensOnly ? tagEnd + 1 : closing + name.length + 3;
    this.onMessage(data, at, end);
    return end;
  }

  /**
   * Says something and waits for the answer that has `wanted` in it.
   * @param {string} stanza
   * @param {string} wanted
   */
  ask(stanza, wanted) {
    return caughtUp(this, utf8(stanza), wanted, '<failure');
  }
}

/**
 * @param {number} port
 * @param {string} userId
 */
async function connect(port, userId) {
  const stream = await XmppStream.open(port);
  await stream.ask(HEADER, '</stream:features>');
  const plain = utf8(`\0${userId}\0${userToken(jidOf(userId))}`).toString('base64');
  await stream.ask(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`, '<success');
  await stream.ask(HEADER, '</stream:features>');
  await stream.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", '</jid>');
  return stream;
}

/**
 * @param {number} port
 * @param {string} userId
 */
async function present(port, userId) {
  const stream = await connect(port, userId);
  // Its own presence comes back.
  await stream.ask('<presence/>', '<presence');
  return stream;
}

/** A session is bound and present: an XMPP login is not done before that. */
export function logins(/** @type {number} */ port) {
  let user = 0;
  return repeated(LOGINS_AT_ONCE, async () => (await present(port, `new-${user++}`)).close());
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 */
export async function pings(harness, port) {
  const streams = await openMany(SOCKETS, (index) => present(port, `device-${index}`));
  harness.later(() => streams.forEach((stream) => stream.close()));
  return socketLoad(streams, ring(ping, utf8), IN_FLIGHT, () => true);
}

/**
 * Alice has all of them on the roster, allowed to see the presence.
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
async function subscribed(harness, port, count) {
  const alice = await present(port, 'alice');
  const watchers = await openMany(count, (index) => present(port, `watcher-${index}`));
  harness.later(() => [...watchers, alice].forEach((stream) => stream.close()));
  alice.onMessage = (bytes, start, end) => {
    const asking = /from='([^']+)' type='subscribe'/.exec(bytes.toString('utf8', start, end))?.[1];
    if (asking !== undefined) alice.send(utf8(`<presence type='subscribed' to='${asking}'/>`));
  };
  const subscribe = `<presence type='subscribe' to='${jidOf('alice')}'/>`;
  await openMany(count, async (index) => watchers[index]?.ask(subscribe, `from='${jidOf('alice')}/`));
  return { alice, watchers };
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function changes(harness, port, count) {
  const { alice, watchers } = await subscribed(harness, port, count);
  let text = 0;
  return oneByOne(watchers, () =>
    alice.send(utf8(`<presence><status>${(text = (text + 1) % 1_000) + 1_000}</status></presence>`)),
  );
}

/**
 * @param {import('../../bench-harness.js').BenchHarness} harness
 * @param {number} port
 * @param {number} count
 */
export async function watched(harness, port, count) {
  const { alice, watchers } = await subscribed(harness, port, count);
  const gone = everyone(watchers);
  alice.close();
  await gone;
  return { hearers: watchers, come: () => present(port, 'alice') };
}

/**
 * @param {number} port
 * @param {string} prefix
 * @param {number} count
 */
export const idle = (port, prefix, count) => openMany(count, (index) => present(port, `${prefix}-${index}`));
