// Who stands beside Porchlight, how each is started, and in what words it is asked. A peer leaves out what it cannot do.
import * as graphql from './client/graphql.js';
import * as mqtt from './client/peers/mqtt.js';
import * as pusher from './client/peers/pusher.js';
import * as socketIo from './client/peers/socket-io.js';
import * as xmpp from './client/peers/xmpp.js';
import * as servers from './servers/peers.js';

/** @typedef {import('./bench-harness.js').BenchHarness} BenchHarness */
/** @typedef {import('./bench-harness.js').Server} Server */
/** @typedef {import('./client/wire.js').BenchSocket} Wire */
/** @typedef {import('./measure.js').Load & { took?: number[], close?: () => void }} Load */
/** @typedef {(port: number, prefix: string, count: number) => Promise<Wire[]>} Clients */
/**
 * @typedef {object} Words
 * @property {(port: number) => Load | Promise<Load>} logins
 * @property {(harness: BenchHarness, port: number) => Promise<Load>} [beats] activity that is a call of its API
 * @property {((harness: BenchHarness, port: number) => Promise<Load>) | undefined} [pings] one that its protocol has for it
 * @property {(harness: BenchHarness, port: number, count: number) => Promise<Load>} changes of one whom `count` watch
 * @property {(harness: BenchHarness, port: number, count: number) => Promise<{ hearers: Wire[], come: () => Promise<Wire> }>} watched
 *   `come` opens the socket of a user whom the watchers follow: they receive that it opened, and that it closed
 * @property {Clients} idle
 * @property {Clients} [clients] each watches ten others
 */
/**
 * @typedef {object} Peer
 * @property {Words} words
 * @property {(harness: BenchHarness) => Promise<Server>} start
 * @property {() => string | null} missing why it cannot run here, null if it can
 * @property {string} [note] what it does not do that ours does
 */

/** @type {Readonly<Record<string, Peer>>} */
export const PEERS = {
  porchlight: { words: graphql, start: (harness) => harness.porchlight(), missing: () => null },
  'naive yoga': {
    // graphql-ws answers a ping without calling the application: it is no activity.
    words: { ...graphql, pings: undefined },
    start: (harness) => harness.peer(servers.startNaive),
    missing: () => null,
  },
  'socket.io': {
    words: socketIo,
    start: (harness) => harness.peer(servers.startSocketIo),
    missing: () => servers.missingPackage('socket.io'),
    note: 'a login is a connection with a JWT',
  },
  soketi: {
    words: pusher,
    start: (harness) => harness.peer(servers.startSoketi),
    missing: () => servers.missingPackage('@soketi/soketi'),
    note: 'a login is a connection that joins a presence channel, signed with an HMAC; the client opens ten channels to watch ten',
  },
  mosquitto: {
    words: mqtt,
    start: (harness) => harness.peer(servers.startMosquitto),
    missing: servers.missingMosquitto,
    note: 'a login is a CONNECT with a will, and no credentials are checked; QoS 0',
  },
  ejabberd: {
    words: xmpp,
    start: (harness) => harness.peer(servers.startEjabberd),
    missing: servers.missingEjabberd,
    note: 'a login is SASL PLAIN with a JWT, bind and presence; watchers are subscribed on a roster',
  },
};
