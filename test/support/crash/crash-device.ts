/** One device of one user, which does all that devices do, in random order, until the server is gone. */
import { pause } from './crash-stream.ts';
import type { UserSeen, Witness } from './crash-witness.ts';
import { type Answer, type Closed, dataOf, gql, Socket } from '../porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../porchlight-process.ts';

export interface Cast {
  readonly server: PorchlightProcess;
  readonly witness: Witness;
  /** 0 ≤ r < 1. */
  readonly random: () => number;
  /** True once the server was killed: from then on no answer is no surprise. */
  readonly over: () => boolean;
}

/** This device's session is over; the next one may begin. */
class Over extends Error {}

const USER = 'userStatus { userId status version customStatus }';
const BEAT = 'mutation { heartbeat { session { status } } }';
const LOGIN = `mutation ($input: LoginInput!) { login(input: $input) {
  sessionToken session { id userId } kicked { id } } }`;

interface LoggedIn {
  readonly login: {
    readonly sessionToken: string;
    readonly session: { readonly id: string; readonly userId: string };
    readonly kicked: readonly { readonly id: string }[];
  };
}

export class Device {
  readonly #cast: Cast;
  readonly #userId: string;
  readonly #platform: string;
  #jwt = '';
  #token = '';
  #sessionId = '';
  #texts = 0;

  constructor(cast: Cast, userId: string, platform: string) {
    this.#cast = cast;
    this.#userId = userId;
    this.#platform = platform;
  }

  /** Logs in again and again; whatever else goes wrong before the server is gone is a fault. */
  async live(): Promise<void> {
    this.#jwt = await mintToken(this.#userId);
    while (!this.#cast.over()) {
      try {
        await this.#session();
      } catch (error) {
        if (error instanceof Over) continue;
        if (!this.#cast.over()) this.#cast.witness.faults.push(String(error));
        return;
      }
    }
  }

  async #session(): Promise<never> {
    await this.#login();
    const acts = [() => this.#beat(), () => this.#write(), () => this.#plug(), () => this.#logout()];
    for (;;) await acts[Math.floor(this.#cast.random() * acts.length)]?.();
  }

  async #login(): Promise<void> {
    const { witness, server, random } = this.#cast;
    const input = { platform: this.#platform, deviceId: `${this.#platform} ${random()}` };
    const began = witness.begin();
    // Some log in over a socket, which is then cut under the new session.
    const socket = random() < 0.3 ? await Socket.open(server, this.#jwt) : null;
    try {
      const { login } = this.#answered(
        socket === null
          ? await gql<LoggedIn>(server, this.#jwt, LOGIN, { input })
          : await socket.execute<LoggedIn>(LOGIN, { input }),
      );
      const { userId, id: sessionId } = login.session;
      this.#sessionId = sessionId;
      this.#token = login.sessionToken;
      witness.tokens.set(sessionId, login.sessionToken);
      const kicked = { reason: 'KICKED', userId, kickedBy: this.#platform };
      witness.sure(
        began,
        { reason: 'LOGIN', userId, sessionId, deviceId: input.deviceId, sessionStatus: 'ONLINE' },
        ...login.kicked.map(({ id }) => ({ ...kicked, sessionId: id })),
      );
    } finally {
      socket?.rst();
    }
  }

  async #beat(): Promise<void> {
    await this.#own(BEAT);
    this.#cast.witness.sure(0);
  }

  async #write(): Promise<void> {
    const { witness } = this.#cast;
    const text = `${this.#sessionId} says ${++this.#texts}`;
    const began = witness.begin();
    const { setCustomStatus } = await this.#own<{ setCustomStatus: { userStatus: UserSeen } }>(
      `mutation ($text: String) { setCustomStatus(input: { text: $text }) { ${USER} } }`,
      { text },
    );
    witness.see(setCustomStatus.userStatus);
    witness.sure(began, { reason: 'CUSTOM_STATUS', sessionId: this.#sessionId, customStatus: text });
  }

  /** A socket is opened and pulled out: the session is attached, dropped, and comes back if it can. */
  async #plug(): Promise<void> {
    const socket = new Socket(this.#cast.server);
    try {
      await socket.init(this.#token);
      await socket.frames.find(({ type }) => type === 'connection_ack');
      socket.rst();
    } catch (error) {
      this.#endedBy(await socket.closed);
      throw error;
    }
    for (let dropped: boolean | null = null; dropped === null;) {
      dropped = await this.#dropped();
      if (dropped === null) await pause(5);
      else if (dropped) {
        await this.#own(BEAT);
        this.#cast.witness.sureOfReconnect(this.#sessionId);
      }
    }
  }

  /** Asks as a backend, which is no sign of life. @returns is it PUSH_ONLINE? Null while it is ONLINE still. */
  async #dropped(): Promise<boolean | null> {
    const { witness, server } = this.#cast;
    const query = `query ($id: ID!) { userStatus(userId: $id) {
      userId status version customStatus sessions { id status } } }`;
    const { userStatus } = dataOf(
      await gql<{ userStatus: UserSeen & { sessions: { id: string; status: string }[] } }>(
        server,
        server.apiKey,
        query,
        { id: this.#userId },
      ),
    );
    witness.see(userStatus);
    const own = userStatus.sessions.find(({ id }) => id === this.#sessionId);
    return own?.status === 'ONLINE' ? null : own !== undefined;
  }

  async #logout(): Promise<void> {
    const { witness } = this.#cast;
    const began = witness.begin();
    const { logout } = await this.#own<{ logout: { userStatus: UserSeen } }>(`mutation { logout { ${USER} } }`);
    witness.see(logout.userStatus);
    witness.sure(began, { reason: 'LOGOUT', sessionId: this.#sessionId, sessionStatus: 'OFFLINE' });
    throw new Over('It logged out.');
  }

  /** An operation with the session's own token. */
  async #own<T>(query: string, variables?: Readonly<Record<string, unknown>>): Promise<T> {
    return this.#answered(await gql<T>(this.#cast.server, this.#token, query, variables));
  }

  #answered<T>(answer: Answer<T>): T {
    const { code, reason, kickedBy } = answer.errors?.[0]?.extensions ?? {};
    if (code === 'SESSION_ENDED') {
      this.#cast.witness.sure(0, {
        reason: String(reason),
        sessionId: this.#sessionId,
        sessionStatus: 'OFFLINE',
        kickedBy: typeof kickedBy === 'string' ? kickedBy : null,
      });
      throw new Over(`It was told ${String(reason)}.`);
    }
    return dataOf(answer);
  }

  #endedBy({ code, reason }: Closed): void {
    if (code !== 4410) return;
    this.#cast.witness.sure(0, { reason, sessionId: this.#sessionId, sessionStatus: 'OFFLINE' });
    throw new Over(`Its socket was closed: ${reason}.`);
  }
}
