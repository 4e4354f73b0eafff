// One device of one user, which does all that devices do: well-behaved ones, those in tunnels, and those in pockets.
import { Connection, Gone } from './connection.js';
import { Known } from '../judge/known-statuses.js';
import { cannotWrite, dataOf, Refused } from '../world.js';
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
class Over extends Error {}

export class Device {
  #world;
  #random;
  #userId;
  #platform;
  #deviceId;
  #jwt = '';
  #jwtMintedAt = 0;
  /** @type {Known | null} */
  #known = null;
  /** The one that it knew last. @type {Known | null} */
  #lastKnown = null;
  /** Those that are attached to the session. @type {{ connection: Connection, plug: import('../judge/known-statuses.js').Plug }[]} */
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
  async live() {
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
    for (const socket of [...this.#sockets]) this.#cut(socket, 'rst');
  }

  /** All sockets are lost at once. */
  storm() {
    for (const socket of [...this.#sockets]) this.#cut(socket, 'rst');
  }

  get isAttached() {
    return this.#sockets.length > 0;
  }

  async #turn() {
    const { pauses, isQuiet } = this.#world;
    if (this.#known === null) {
      if (isQuiet) return pauses.pause(500);
      await pauses.pause(this.#random.chance(0.3) ? this.#random.between(0, 20_000) : this.#random.between(0, 2_000));
      return this.#world.isQuiet ? undefined : this.#login();
    }
    if (this.#usesSockets && this.#sockets.length === 0) await this.#attach();
    const act = isQuiet ? 'beat' : this.#random.weighted(ACTS);
    await this.#act(act);
    await pauses.pause(this.#intervalMs * (0.3 + 0.6 * this.#random.next()));
  }

  /** @param {keyof typeof ACTS} act */
  async #act(act) {
    const { journal, pauses } = this.#world;
    const known = /** @type {Known} */ (this.#known);
    journal.count(`device: ${act}`);
    switch (act) {
      case 'beat':
        return this.#beat(undefined);
      case 'background':
        return this.#beat({ appState: 'BACKGROUND' });
      case 'foreground':
        return this.#beat({ appState: 'FOREGROUND' });
      case 'ping': {
        const [socket] = this.#sockets;
        if (socket === undefined) return this.#beat(undefined);
        return this.#sign(false, () => socket.connection.ping(this.#random.chance(0.5)));
      }
      case 'ask':
        return this.#ask();
      case 'write':
        return this.#write();
      case 'cut': {
        const socket = this.#sockets.length > 0 ? this.#random.pick(this.#sockets) : null;
        if (socket === null) return this.#beat(undefined);
        this.#cut(socket, this.#random.pick(['close', 'fin', 'rst']));
        return pauses.pause(
          this.#random.chance(0.5) ? this.#random.between(0, 400) : this.#random.between(500, 12_000),
        );
      }
      case 'second':
        return this.#usesSockets && this.#sockets.length < 3 ? this.#attach() : this.#beat(undefined);
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
        answer = await connection.ask(LOGIN, { input });
      } else answer = await http.ask(jwt, LOGIN, { input });
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
      const known = new Known({ ...session, token: login.sessionToken });
      known.sends(sent);
      known.acked(sent, acked);
      known.learn(sent, login, acked);
      this.#checkTimings(known, login);
      model.owe(this.#userId, session.id, `login of ${session.id}`, ({ reason }) => reason === 'LOGIN');
      for (const { id } of login.kicked)
        model.oweEnd(this.#userId, id, 'KICKED', { kickedBy: this.#platform, by: `login of ${session.id}` });
      // The session before may live on, where there may be several.
      for (const old of [...this.#sockets]) this.#cut(old, 'rst');
      sessions.set(known.id, known);
      this.#known = known;
      this.#lastKnown = known;
      this.#intervalMs = login.heartbeatIntervalMs;
      this.#usesSockets = overSocket || this.#random.chance(0.75);
      if (connection !== null) this.#adopt(connection, known, sent);
    } catch (error) {
      connection?.wire.rst();
      throw error;
    }
  }

  async #attach() {
    const known = /** @type {Known} */ (this.#known);
    const { server } = this.#world;
    const connection = new Connection(server.port);
    let sent = 0;
    try {
      await connection.init(known.token, (at) => {
        sent = at;
        known.sends(at);
        known.lastAttachSent = at;
      });
    } catch (error) {
      // It may have been attached all the same.
      known.cut({ wasAttached: false });
      connection.wire.rst();
      throw error;
    }
    known.acked(sent);
    this.#adopt(connection, known, sent);
  }

  /** @param {Connection} connection @param {Known} known @param {number} sent */
  #adopt(connection, known, sent) {
    const { journal } = this.#world;
    const plug = known.plug(sent);
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

  /** @param {Connection} connection @param {Known} known */
  #listenForEnd(connection, known) {
    connection.subscribe('subscription { sessionEnded { sessionId reason kickedBy } }', undefined, {
      next: ({ data }) => {
        if (data == null) return;
        const { sessionId, reason, kickedBy } = data.sessionEnded;
        this.#world.model.oweEnd(known.userId, sessionId, reason, { kickedBy, by: 'sessionEnded' });
        this.#world.journal.count('sessionEnded told');
      },
      end: () => undefined,
    });
  }

  /** @param {Known} known @param {import('./wire.js').Closed} closed */
  #closedByServer(known, { code, reason }) {
    const { journal, model, disturbances, isOver } = this.#world;
    journal.count(`closed with ${code}`);
    journal.act(this.#userId, `${known.id}: its socket was closed with ${code} ${reason}`);
    if (isOver) return;
    const now = Date.now();
    if (code === 4410) {
      model.oweEnd(known.userId, known.id, reason, { by: 'close 4410' });
      if (this.#known === known) this.#known = null;
    } else if (code === 4412) {
      if (!['HEARTBEAT_TIMEOUT', 'BACKGROUND_TIMEOUT'].includes(reason))
        journal.violate('close', `4412 ${reason}`, this.#userId);
    } else if (code === 1012 || code === 1006) {
      const isExcused = disturbances.between(now - 2_000, now, (kind) => ['down', 'sleep', 'fullDisk'].includes(kind));
      if (!isExcused)
        journal.violate('close', `a socket was closed with ${code} ${reason} for no reason`, this.#userId);
      // Was it the server who closed it, or did it only look so? If the latter, it is a DISCONNECT.
      known.cut();
    } else if (code === 4413) {
      // A socket opened with the JWT, which a backend has revoked since.
      if (!this.#wasRevoked()) journal.violate('close', `4413 ${reason}`, this.#userId);
    } else journal.violate('close', `a well-behaved socket was closed with ${code} ${reason}`, this.#userId);
  }

  /** @param {{ appState: string } | undefined} input */
  async #beat(input) {
    const known = /** @type {Known} */ (this.#known);
    const { journal } = this.#world;
    const sent = Date.now();
    if (input !== undefined) {
      known.backgroundUnsure ??= sent;
      journal.act(this.#userId, `${known.id} says ${input.appState}`);
    }
    known.asksForTimings(sent);
    const data = await this.#sign(true, () => this.#own(BEAT, { input: input ?? null }));
    const { heartbeat } = data;
    const acked = Date.now();
    known.learn(sent, heartbeat, acked);
    this.#checkTimings(known, heartbeat);
    this.#intervalMs = heartbeat.heartbeatIntervalMs;
    const seen = Date.parse(heartbeat.session.lastSeenAt);
    if (seen < sent - 50 || seen > acked + 50)
      journal.violate('clock', `seen at ${seen}, but sent at ${sent} and answered at ${acked}`, this.#userId);
    if (heartbeat.session.status !== 'ONLINE')
      journal.violate('beat', `ONLINE after a beat, not ${heartbeat.session.status}`, this.#userId);
    if (input !== undefined && heartbeat.session.appState !== input.appState)
      journal.violate('beat', `${input.appState}, not ${heartbeat.session.appState}`, this.#userId);
    if (input !== undefined) known.tells(input.appState, sent, acked);
  }

  /** @param {Known} known @param {{ heartbeatTimeoutMs: number }} said */
  #checkTimings(known, { heartbeatTimeoutMs }) {
    const { policies } = this.#world;
    if (policies.isUnsure || known.rows(policies, Date.now()).length > 0) return;
    this.#world.journal.violate(
      'timings',
      `told ${heartbeatTimeoutMs} ms, which no policy of the time says`,
      this.#userId,
    );
  }

  async #ask() {
    const { model, userIds } = this.#world;
    const ids = [this.#userId, ...this.#random.some(userIds.slice(0, 200), 3)];
    const data = await this.#sign(true, () =>
      this.#own(
        'query ($ids: [ID!]!) { me { id status } userStatuses(userIds: $ids) { userId status version customStatus } }',
        { ids },
      ),
    );
    for (const { userId, ...told } of data.userStatuses) model.told(userId, told, 'a device asks');
    if (data.userStatuses[0].status !== 'ONLINE')
      this.#world.journal.violate('beat', `asks, and is ${data.userStatuses[0].status}`, this.#userId);
  }

  async #write() {
    const { model, journal } = this.#world;
    const known = /** @type {Known} */ (this.#known);
    const odd = this.#random.pick(TEXTS);
    const text = this.#random.chance(0.1) ? null : `${[...odd].slice(0, 200).join('')} ${++this.#texts}`;
    journal.act(this.#userId, `${known.id} writes ${JSON.stringify(text)}`);
    const { setCustomStatus } = await this.#sign(true, () =>
      this.#own(`mutation ($text: String) { setCustomStatus(input: { text: $text }) { ${USER} } }`, { text }),
    );
    const { userId, ...told } = setCustomStatus.userStatus;
    if (told.customStatus !== text)
      journal.violate('text', `${JSON.stringify(text)} became ${JSON.stringify(told.customStatus)}`, userId);
    model.told(userId, told, 'setCustomStatus');
  }

  async #logout() {
    const { model, journal } = this.#world;
    const known = /** @type {Known} */ (this.#known);
    known.leaving = true;
    journal.act(this.#userId, `${known.id} logs out`);
    const { logout } = await this.#sign(true, () => this.#own(`mutation { logout { ${USER} } }`));
    model.oweEnd(known.userId, known.id, 'LOGOUT', { by: 'logout' });
    const { userId, ...told } = logout.userStatus;
    model.told(userId, told, 'logout');
    this.#over();
  }

  /** The network is gone, and nobody says so. */
  async #freeze() {
    const { journal, pauses } = this.#world;
    const known = /** @type {Known} */ (this.#known);
    journal.act(this.#userId, `${known.id} is frozen`);
    const frozen = this.#sockets.splice(0);
    for (const { connection, plug } of frozen) {
      plug.dropped = true;
      connection.wire.freeze();
    }
    await pauses.pause(this.#random.between(1_000, 15_000));
    // What is left of the old sockets comes to its end while new ones are open.
    void pauses.pause(this.#random.between(0, 20_000)).then(() => {
      for (const { connection } of frozen) {
        // The server may have given up on it long ago.
        known.cut({ wasAttached: false });
        connection.wire.rst();
      }
    });
  }

  /** @param {{ connection: Connection, plug: import('../judge/known-statuses.js').Plug }} socket @param {'close' | 'fin' | 'rst'} how */
  #cut(socket, how) {
    const known = /** @type {Known} */ (this.#known);
    this.#world.journal.act(this.#userId, `${known?.id} cuts its socket by ${how}`);
    this.#cutAt = Date.now();
    socket.plug.dropped = true;
    socket.plug.closed = this.#cutAt;
    known?.cut();
    this.#sockets.splice(this.#sockets.indexOf(socket), 1);
    socket.connection.wire[how]();
  }

  /**
   * Something that is a sign of life.
   * @param {boolean} isOperation
   * @param {() => Promise<any>} act
   */
  async #sign(isOperation, act) {
    const { journal } = this.#world;
    const known = /** @type {Known} */ (this.#known);
    const sent = Date.now();
    known.sends(sent);
    const said = await act();
    if (this.#known === known) known.acked(sent);
    journal.count(isOperation ? 'signs of life: operations' : 'signs of life: pings');
    return said;
  }

  /**
   * An operation with the session's own token.
   * @param {string} query
   * @param {object} [variables]
   */
  async #own(query, variables) {
    const known = /** @type {Known} */ (this.#known);
    const [socket] = this.#sockets;
    const answer =
      socket === undefined || this.#random.chance(0.05)
        ? await this.#world.http.ask(known.token, query, variables)
        : await socket.connection.ask(query, variables);
    return dataOf(answer);
  }

  /** @param {unknown} error @param {number} since */
  async #failed(error, since) {
    const { journal, model, pauses, isOver } = this.#world;
    if (isOver || error instanceof Over) return;
    if (error instanceof Refused) {
      const { code, extensions } = error;
      journal.count(`refused: ${code}`);
      const again = this.#world.later(error);
      if (again !== null) return pauses.pause(again);
      // Its socket may have said so before.
      const known = this.#known ?? this.#lastKnown;
      if (code === 'SESSION_ENDED' && known !== null) {
        model.oweEnd(this.#userId, known.id, extensions.reason ?? '', {
          ...(extensions.reason === 'KICKED' ? { kickedBy: extensions.kickedBy ?? null } : {}),
          by: 'SESSION_ENDED',
        });
        return this.#over();
      }
      if (code === 'UNAUTHENTICATED' && this.#wasRevoked()) {
        this.#jwtMintedAt = 0;
        return pauses.pause(1_000);
      }
      if (code === 'INTERNAL_SERVER_ERROR' && this.#world.disturbances.between(since, Date.now(), cannotWrite))
        return pauses.pause(500);
      journal.violate('error', error.message, this.#userId);
      return this.#over();
    }
    if (error instanceof Gone) {
      // A close that says why was judged when it came, unless it came in the place of a welcome.
      if (error.code === 4410 && this.#known !== null) {
        model.oweEnd(this.#userId, this.#known.id, error.reason, { by: 'close 4410' });
        return this.#over();
      }
      if (error.code === 4410 || error.code === 4412) return;
      if (error.code === 1013) {
        journal.count('told OVERLOADED');
        return pauses.pause(500);
      }
      if ((error.code === 4413 || error.code === 4401) && this.#wasRevoked()) {
        this.#jwtMintedAt = 0;
        return pauses.pause(1_000);
      }
    }
    // It was the device that cut it, in the midst of something.
    const isOwnDoing = error instanceof Gone && error.code === 1006 && this.#cutAt >= since;
    if (!isOwnDoing) this.#world.lost(error, 'a device', since, this.#userId);
    await pauses.pause(this.#random.between(20, 500));
  }

  #over() {
    this.#known = null;
    // The server closes them with 4410; if it does not, that is seen as well.
    for (const socket of this.#sockets.splice(0)) {
      socket.plug.dropped = true;
      void this.#world.pauses.pause(8_000).then(() => {
        if (socket.connection.closed !== null) return;
        if (!this.#world.disturbances.between(Date.now() - 9_000, Date.now()) && !this.#world.isOver)
          this.#world.journal.violate('close', 'a socket of an ended session stays open', this.#userId);
        socket.connection.wire.rst();
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
