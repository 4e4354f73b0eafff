// One device of one user, which does all that devices do: well-behaved ones, those in tunnels, and those in pockets.
import { Connection, ConnectionGone } from './connection.js';
import { ClientSession } from '../judge/client-session.js';
import { cannotWrite, dataOf, RequestRefused } from '../world.js';
import { userToken } from './tokens.js';

/** @typedef {import('../world.js').SoakWorld} World */

const LOGIN = `mutation ($input: LoginInput!) { login(input: $input) { sessionToken heartbeatIntervalMs heartbeatTimeoutMs
  session { id userId platform deviceId } kicked { id platform } } }`;
const BEAT =
  'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs heartbeatTimeoutMs session { status appState lastSeenAt } } }';
const USER = 'userStatus { userId status version customStatus }';

/** What it does next, each as often as its weight says. */
const ACTS = {
  beat: 60,
  ping: 14,
  ask: 6,
  background: 4,
  foreground: 4,
  write: 3,
  cut: 7,
  second: 2,
  silence: 2,
  freeze: 2,
  logout: 3,
  again: 1,
};
const TEXTS = [
  'at lunch',
  '',
  'ü',
  '👩‍👩‍👧‍👦🏳️‍🌈',
  '\u202eright to left',
  'a\u0000b'.replace('\u0000', '\u200b'),
  'Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢',
  '\\"\'`${x}',
  '𝒳'.repeat(255),
  '__proto__',
];

/** The session is over; another one may begin. */
class DeviceFinished extends Error {}

export class Device {
  #world;
  #random;
  #userId;
  #platform;
  #deviceId;
  #jwt = '';
  #jwtMintedAt = 0;
  /** @type {ClientSession | null} */
  #session = null;
  /** The one that it knew last. @type {ClientSession | null} */
  #lastSession = null;
  /** Those that are attached to the session. @type {{ connection: Connection, plug: import('../judge/client-session.js').Plug }[]} */
  #sockets = [];
  #usesSockets = true;
  #intervalMs = 1_000;
  #texts = 0;
  #cutAt = 0;

  /** @param {World} world @param {string} userId @param {number} index */
  constructor(world, userId, index) {
    this.#world = world;
    this.#userId = userId;
    this.#random = world.random(`device ${userId} ${index}`);
    this.#platform = this.#random.weighted({
      ANDROID: 5,
      IPHONE: 5,
      IPAD: 2,
      WINDOWS: 3,
      MAC: 2,
      LINUX: 1,
      WEB: 5,
      MINI_PROGRAM: 4,
    });
    this.#deviceId = this.#random.pick([`d${index}`, `d${index}`, `Gerät „${index}“ 📱`]);
  }

  /** Lives until the soak is over. */
  async run() {
    const { pauses, server } = this.#world;
    await pauses.pause(this.#random.between(0, 6_000));
    while (!this.#world.isOver) {
      const since = Date.now();
      try {
        await this.#turn();
      } catch (error) {
        await this.#failed(error, since);
      }
      if (!server.isUp) await server.up();
    }
    for (const socket of [...this.#sockets]) this.#endSocket(socket, 'rst');
  }

  /** All sockets are lost at once. */
  storm() {
    for (const socket of [...this.#sockets]) this.#endSocket(socket, 'rst');
  }

  get isAttached() {
    return this.#sockets.length > 0;
  }

  async #turn() {
    const { pauses, changesStopped: isQuiet } = this.#world;
    if (this.#session === null) {
      if (isQuiet) return pauses.pause(500);
      await pauses.pause(this.#random.chance(0.3) ? this.#random.between(0, 20_000) : this.#random.between(0, 2_000));
      return this.#world.changesStopped ? undefined : this.#login();
    }
    if (this.#usesSockets && this.#sockets.length === 0) await this.#attach();
    const act = isQuiet ? 'beat' : this.#random.weighted(ACTS);
    await this.#act(act);
    await pauses.pause(this.#intervalMs * (0.3 + 0.6 * this.#random.next()));
  }

  /** @param {keyof typeof ACTS} act */
  async #act(act) {
    const { journal, pauses } = this.#world;
    const known = /** @type {ClientSession} */ (this.#session);
    journal.count(`device: ${act}`);
    switch (act) {
      case 'beat':
        return this.#heartbeat(undefined);
      case 'background':
        return this.#heartbeat({ appState: 'BACKGROUND' });
      case 'foreground':
        return this.#heartbeat({ appState: 'FOREGROUND' });
      case 'ping': {
        const [socket] = this.#sockets;
        if (socket === undefined) return this.#heartbeat(undefined);
        return this.#sendActivity(false, () => socket.connection.ping(this.#random.chance(0.5)));
      }
      case 'ask':
        return this.#queryStatuses();
      case 'write':
        return this.#setText();
      case 'cut': {
        const socket = this.#sockets.length > 0 ? this.#random.pick(this.#sockets) : null;
        if (socket === null) return this.#heartbeat(undefined);
        this.#endSocket(socket, this.#random.pick(['close', 'fin', 'rst']));
        return pauses.pause(
          this.#random.chance(0.5) ? this.#random.between(0, 400) : this.#random.between(500, 12_000),
        );
      }
      case 'second':
        return this.#usesSockets && this.#sockets.length < 3 ? this.#attach() : this.#heartbeat(undefined);
      case 'silence':
        journal.act(this.#userId, `${known.id} is silent`);
        return pauses.pause(this.#random.between(3_000, 25_000));
      case 'freeze':
        return this.#freeze();
      case 'logout':
        return this.#logout();
      case 'again':
        // Logs in again with a session that is alive: REPLACED.
        journal.act(this.#userId, `${known.id} will be replaced`);
        return this.#login();
    }
  }

  async #login() {
    const { journal, model, sessions, http, server } = this.#world;
    const input = {
      platform: this.#platform,
      ...(this.#random.chance(0.9) ? { deviceId: this.#deviceId } : {}),
      ...(this.#random.chance(0.3) ? { appVersion: '1.2.3', osVersion: 'ü 17' } : {}),
    };
    const jwt = this.#token();
    const overSocket = this.#random.chance(0.35);
    let sent = Date.now();
    /** @type {Connection | null} */
    let connection = null;
    /** @type {import('./connection.js').Answer} */
    let answer;
    try {
      if (overSocket) {
        connection = new Connection(server.port);
        await connection.init(jwt);
        sent = Date.now();
        answer = await connection.request(LOGIN, { input });
      } else answer = await http.request(jwt, LOGIN, { input });
      const { login } = dataOf(answer);
      const acked = Date.now();
      const { session } = login;
      journal.count('logins');
      journal.act(this.#userId, `${session.id} logged in on ${this.#platform} ${overSocket ? 'over a socket' : ''}`);
      if (
        session.userId !== this.#userId ||
        session.platform !== this.#platform ||
        (input.deviceId ?? session.deviceId) !== session.deviceId
      )
        journal.violate('login', `asked ${JSON.stringify(input)}, got ${JSON.stringify(session)}`, this.#userId);
      const known = new ClientSession({ ...session, token: login.sessionToken });
      known.recordSent(sent);
      known.recordAcknowledged(sent, acked);
      known.recordTimings(sent, login, acked);
      this.#checkTimings(known, login);
      model.expectEvent(this.#userId, session.id, `login of ${session.id}`, ({ reason }) => reason === 'LOGIN');
      for (const { id } of login.kicked)
        model.expectSessionEnd(this.#userId, id, 'KICKED', { kickedBy: this.#platform, by: `login of ${session.id}` });
      // The session before may live on, where there may be several.
      for (const old of [...this.#sockets]) this.#endSocket(old, 'rst');
      sessions.set(known.id, known);
      this.#session = known;
      this.#lastSession = known;
      this.#intervalMs = login.heartbeatIntervalMs;
      this.#usesSockets = overSocket || this.#random.chance(0.75);
      if (connection !== null) this.#useConnection(connection, known, sent);
    } catch (error) {
      connection?.socket.rst();
      throw error;
    }
  }

  async #attach() {
    const known = /** @type {ClientSession} */ (this.#session);
    const { server } = this.#world;
    const connection = new Connection(server.port);
    let sent = 0;
    try {
      await connection.init(known.token, (at) => {
        sent = at;
        known.recordSent(at);
        known.lastAttachSent = at;
      });
    } catch (error) {
      // It may have been attached all the same.
      known.recordSocketEnd({ wasAttached: false });
      connection.socket.rst();
      throw error;
    }
    known.recordAcknowledged(sent);
    this.#useConnection(connection, known, sent);
  }

  /** @param {Connection} connection @param {ClientSession} known @param {number} sent */
  #useConnection(connection, known, sent) {
    const { journal } = this.#world;
    const plug = known.recordAttachedSocket(sent);
    const socket = { connection, plug };
    this.#sockets.push(socket);
    journal.act(this.#userId, `${known.id} attached a socket`);
    connection.onClosed = (closed) => {
      if (plug.closed === Infinity) plug.closed = Date.now();
      const at = this.#sockets.indexOf(socket);
      if (at >= 0) this.#sockets.splice(at, 1);
      if (at >= 0 && !plug.dropped) this.#closedByServer(known, closed);
    };
    if (connection.closed !== null) connection.onClosed(connection.closed);
    else if (this.#random.chance(0.3)) this.#listenForEnd(connection, known);
  }

  /** @param {Connection} connection @param {ClientSession} known */
  #listenForEnd(connection, known) {
    connection.subscribe('subscription { sessionEnded { sessionId reason kickedBy } }', undefined, {
      next: ({ data }) => {
        if (data == null) return;
        const { sessionId, reason, kickedBy } = data.sessionEnded;
        this.#world.model.expectSessionEnd(known.userId, sessionId, reason, { kickedBy, by: 'sessionEnded' });
        this.#world.journal.count('sessionEnded received');
      },
      end: () => undefined,
    });
  }

  /** @param {ClientSession} known @param {import('./wire.js').Closed} closed */
  #closedByServer(known, { code, reason }) {
    const { journal, model, disturbances, isOver } = this.#world;
    journal.count(`closed with ${code}`);
    journal.act(this.#userId, `${known.id}: its socket was closed with ${code} ${reason}`);
    if (isOver) return;
    const now = Date.now();
    if (code === 4410) {
      model.expectSessionEnd(known.userId, known.id, reason, { by: 'close 4410' });
      if (this.#session === known) this.#session = null;
    } else if (code === 4412) {
      if (!['HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT'].includes(reason))
        journal.violate('close', `4412 ${reason}`, this.#userId);
    } else if (code === 1012 || code === 1006) {
      const isExcused = disturbances.between(now - 2_000, now, (kind) => ['down', 'sleep', 'fullDisk'].includes(kind));
      if (!isExcused)
        journal.violate('close', `a socket was closed with ${code} ${reason} for no reason`, this.#userId);
      // Was it the server who closed it, or did it only look so? If the latter, it is a DISCONNECT.
      known.recordSocketEnd();
    } else if (code === 4413) {
      // A socket opened with the JWT, which a backend has revoked since.
      if (!this.#wasRevoked()) journal.violate('close', `4413 ${reason}`, this.#userId);
    } else journal.violate('close', `a well-behaved socket was closed with ${code} ${reason}`, this.#userId);
  }

  /** @param {{ appState: string } | undefined} input */
  async #heartbeat(input) {
    const known = /** @type {ClientSession} */ (this.#session);
    const { journal } = this.#world;
    const sent = Date.now();
    if (input !== undefined) {
      known.backgroundUnsureSince ??= sent;
      journal.act(this.#userId, `${known.id} says ${input.appState}`);
    }
    known.recordTimingsRequest(sent);
    const data = await this.#sendActivity(true, () => this.#request(BEAT, { input: input ?? null }));
    const { heartbeat } = data;
    const acked = Date.now();
    known.recordTimings(sent, heartbeat, acked);
    this.#checkTimings(known, heartbeat);
    this.#intervalMs = heartbeat.heartbeatIntervalMs;
    const seen = Date.parse(heartbeat.session.lastSeenAt);
    if (seen < sent - 50 || seen > acked + 50)
      journal.violate('clock', `seen at ${seen}, but sent at ${sent} and answered at ${acked}`, this.#userId);
    if (heartbeat.session.status !== 'ONLINE')
      journal.violate('beat', `ONLINE after a beat, not ${heartbeat.session.status}`, this.#userId);
    if (input !== undefined && heartbeat.session.appState !== input.appState)
      journal.violate('beat', `${input.appState}, not ${heartbeat.session.appState}`, this.#userId);
    if (input !== undefined) known.recordAppState(input.appState, sent, acked);
  }

  /** @param {ClientSession} known @param {{ heartbeatTimeoutMs: number }} said */
  #checkTimings(known, { heartbeatTimeoutMs }) {
    const { policies } = this.#world;
    if (policies.isUnsure || known.possiblePolicyRows(policies, Date.now()).length > 0) return;
    this.#world.journal.violate(
      'timings',
      `received ${heartbeatTimeoutMs} ms, which no policy of that time contains`,
      this.#userId,
    );
  }

  async #queryStatuses() {
    const { model, userIds } = this.#world;
    const ids = [this.#userId, ...this.#random.some(userIds.slice(0, 200), 3)];
    const data = await this.#sendActivity(true, () =>
      this.#request(
        'query ($ids: [ID!]!) { me { id status } userStatuses(userIds: $ids) { userId status version customStatus } }',
        { ids },
      ),
    );
    for (const { userId, ...observed } of data.userStatuses) model.checkObservation(userId, observed, 'a device asks');
    if (data.userStatuses[0].status !== 'ONLINE')
      this.#world.journal.violate('beat', `asks, and is ${data.userStatuses[0].status}`, this.#userId);
  }

  async #setText() {
    const { model, journal } = this.#world;
    const known = /** @type {ClientSession} */ (this.#session);
    const odd = this.#random.pick(TEXTS);
    const text = this.#random.chance(0.1) ? null : `${[...odd].slice(0, 200).join('')} ${++this.#texts}`;
    journal.act(this.#userId, `${known.id} writes ${JSON.stringify(text)}`);
    const { setCustomStatus } = await this.#sendActivity(true, () =>
      this.#request(`mutation ($text: String) { setCustomStatus(input: { text: $text }) { ${USER} } }`, { text }),
    );
    const { userId, ...observed } = setCustomStatus.userStatus;
    if (observed.customStatus !== text)
      journal.violate('text', `${JSON.stringify(text)} became ${JSON.stringify(observed.customStatus)}`, userId);
    model.checkObservation(userId, observed, 'setCustomStatus');
  }

  async #logout() {
    const { model, journal } = this.#world;
    const known = /** @type {ClientSession} */ (this.#session);
    known.isLoggingOut = true;
    journal.act(this.#userId, `${known.id} logs out`);
    const { logout } = await this.#sendActivity(true, () => this.#request(`mutation { logout { ${USER} } }`));
    model.expectSessionEnd(known.userId, known.id, 'LOGOUT', { by: 'logout' });
    const { userId, ...observed } = logout.userStatus;
    model.checkObservation(userId, observed, 'logout');
    this.#finish();
  }

  /** The network is gone, without a FIN or RST. */
  async #freeze() {
    const { journal, pauses } = this.#world;
    const known = /** @type {ClientSession} */ (this.#session);
    journal.act(this.#userId, `${known.id} is frozen`);
    const frozen = this.#sockets.splice(0);
    for (const { connection, plug } of frozen) {
      plug.dropped = true;
      connection.socket.freeze();
    }
    await pauses.pause(this.#random.between(1_000, 15_000));
    // What is left of the old sockets comes to its end while new ones are open.
    void pauses.pause(this.#random.between(0, 20_000)).then(() => {
      for (const { connection } of frozen) {
        // The server may have given up on it long ago.
        known.recordSocketEnd({ wasAttached: false });
        connection.socket.rst();
      }
    });
  }

  /** @param {{ connection: Connection, plug: import('../judge/client-session.js').Plug }} socket @param {'close' | 'fin' | 'rst'} how */
  #endSocket(socket, how) {
    const known = /** @type {ClientSession} */ (this.#session);
    this.#world.journal.act(this.#userId, `${known?.id} cuts its socket by ${how}`);
    this.#cutAt = Date.now();
    socket.plug.dropped = true;
    socket.plug.closed = this.#cutAt;
    known?.recordSocketEnd();
    this.#sockets.splice(this.#sockets.indexOf(socket), 1);
    socket.connection.socket[how]();
  }

  /**
   * Sends activity.
   * @param {boolean} isOperation
   * @param {() => Promise<any>} act
   */
  async #sendActivity(isOperation, act) {
    const { journal } = this.#world;
    const known = /** @type {ClientSession} */ (this.#session);
    const sent = Date.now();
    known.recordSent(sent);
    const said = await act();
    if (this.#session === known) known.recordAcknowledged(sent);
    journal.count(isOperation ? 'activity: operations' : 'activity: pings');
    return said;
  }

  /**
   * An operation with the session's own token.
   * @param {string} query
   * @param {object} [variables]
   */
  async #request(query, variables) {
    const known = /** @type {ClientSession} */ (this.#session);
    const [socket] = this.#sockets;
    const answer =
      socket === undefined || this.#random.chance(0.05)
        ? await this.#world.http.request(known.token, query, variables)
        : await socket.connection.request(query, variables);
    return dataOf(answer);
  }

  /** @param {unknown} error @param {number} since */
  async #failed(error, since) {
    const { journal, model, pauses, isOver } = this.#world;
    if (isOver || error instanceof DeviceFinished) return;
    if (error instanceof RequestRefused) {
      const { code, extensions } = error;
      journal.count(`refused: ${code}`);
      const again = this.#world.retryDelayMs(error);
      if (again !== null) return pauses.pause(again);
      // Its socket may have said so before.
      const known = this.#session ?? this.#lastSession;
      if (code === 'SESSION_ENDED' && known !== null) {
        model.expectSessionEnd(this.#userId, known.id, extensions.reason ?? '', {
          ...(extensions.reason === 'KICKED' ? { kickedBy: extensions.kickedBy ?? null } : {}),
          by: 'SESSION_ENDED',
        });
        return this.#finish();
      }
      if (code === 'UNAUTHENTICATED' && this.#wasRevoked()) {
        this.#jwtMintedAt = 0;
        return pauses.pause(1_000);
      }
      if (code === 'INTERNAL_SERVER_ERROR' && this.#world.disturbances.between(since, Date.now(), cannotWrite))
        return pauses.pause(500);
      journal.violate('error', error.message, this.#userId);
      return this.#finish();
    }
    if (error instanceof ConnectionGone) {
      // A close that says why was judged when it came, unless it came in the place of a welcome.
      if (error.code === 4410 && this.#session !== null) {
        model.expectSessionEnd(this.#userId, this.#session.id, error.reason, { by: 'close 4410' });
        return this.#finish();
      }
      if (error.code === 4410 || error.code === 4412) return;
      if (error.isOverload) {
        journal.count('OVERLOADED received');
        return pauses.pause(500);
      }
      if ((error.code === 4413 || error.code === 4401) && this.#wasRevoked()) {
        this.#jwtMintedAt = 0;
        return pauses.pause(1_000);
      }
    }
    // It was the device that cut it, in the midst of something.
    const isOwnDoing = error instanceof ConnectionGone && error.code === 1006 && this.#cutAt >= since;
    if (!isOwnDoing) this.#world.reportError(error, 'a device', since, this.#userId);
    await pauses.pause(this.#random.between(20, 500));
  }

  #finish() {
    this.#session = null;
    // The server closes them with 4410; if it does not, that is seen as well.
    for (const socket of this.#sockets.splice(0)) {
      socket.plug.dropped = true;
      void this.#world.pauses.pause(8_000).then(() => {
        if (socket.connection.closed !== null) return;
        if (!this.#world.disturbances.between(Date.now() - 9_000, Date.now()) && !this.#world.isOver)
          this.#world.journal.violate('close', 'a socket of an ended session stays open', this.#userId);
        socket.connection.socket.rst();
      });
    }
  }

  /** A JWT that is good. */
  #token() {
    const now = Date.now();
    const { revokedAt } = this.#world;
    const revoked = revokedAt.get(this.#userId);
    if (
      this.#jwt === '' ||
      now - this.#jwtMintedAt > 600_000 ||
      (revoked !== undefined && this.#jwtMintedAt <= revoked + 1_000)
    ) {
      this.#jwt = userToken(this.#userId);
      this.#jwtMintedAt = now;
    }
    return this.#jwt;
  }

  #wasRevoked() {
    const revoked = this.#world.revokedAt.get(this.#userId);
    return revoked !== undefined && Math.floor(this.#jwtMintedAt / 1_000) <= Math.floor(revoked / 1_000);
  }
}
