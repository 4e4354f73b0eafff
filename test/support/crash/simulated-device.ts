/** A device of one user that performs random operations until the server is gone. */
import { delay } from './event-stream.ts';
import type { ObservedUser, CrashWitness } from './crash-witness.ts';
import { type GraphqlResult, type SocketClose, dataOf, postOperation, GraphqlSocket } from '../porchlight-client.ts';
import { mintToken, type PorchlightProcess } from '../porchlight-process.ts';

export interface LoadContext {
  readonly server: PorchlightProcess;
  readonly witness: CrashWitness;
  /** Returns a number r with 0 ≤ r < 1. */
  readonly random: () => number;
  /** True after the server was killed. Failed requests are expected from then on. */
  readonly isServerGone: () => boolean;
}

/** The session of this device has ended; the next one can start. */
class SessionEnded extends Error {}

const USER = 'userStatus { userId status version customStatus }';
const BEAT = 'mutation { heartbeat { session { status } } }';
const LOGIN = `mutation ($input: LoginInput!) { login(input: $input) {
  sessionToken session { id userId } kicked { id } } }`;

interface LoginResult {
  readonly login: {
    readonly sessionToken: string;
    readonly session: { readonly id: string; readonly userId: string };
    readonly kicked: readonly { readonly id: string }[];
  };
}

export class SimulatedDevice {
  readonly #context: LoadContext;
  readonly #userId: string;
  readonly #platform: string;
  #jwt = '';
  #token = '';
  #sessionId = '';
  #texts = 0;

  constructor(cast: LoadContext, userId: string, platform: string) {
    this.#context = cast;
    this.#userId = userId;
    this.#platform = platform;
  }

  /** Logs in again and again. An error before the server is gone is recorded as a failure. */
  async runSessions(): Promise<void> {
    this.#jwt = await mintToken(this.#userId);
    while (!this.#context.isServerGone()) {
      try {
        await this.#runSession();
      } catch (error) {
        if (error instanceof SessionEnded) continue;
        if (!this.#context.isServerGone()) this.#context.witness.failures.push(String(error));
        return;
      }
    }
  }

  async #runSession(): Promise<never> {
    await this.#login();
    const acts = [
      () => this.#sendHeartbeat(),
      () => this.#setCustomStatus(),
      () => this.#attachAndDropSocket(),
      () => this.#logout(),
    ];
    for (;;) await acts[Math.floor(this.#context.random() * acts.length)]?.();
  }

  async #login(): Promise<void> {
    const { witness, server, random } = this.#context;
    const input = { platform: this.#platform, deviceId: `${this.#platform} ${random()}` };
    const began = witness.recordSent();
    // Some logins use a socket, which is then cut.
    const socket = random() < 0.3 ? await GraphqlSocket.open(server, this.#jwt) : null;
    try {
      const { login } = this.#requireData(
        socket === null
          ? await postOperation<LoginResult>(server, this.#jwt, LOGIN, { input })
          : await socket.execute<LoginResult>(LOGIN, { input }),
      );
      const { userId, id: sessionId } = login.session;
      this.#sessionId = sessionId;
      this.#token = login.sessionToken;
      witness.tokens.set(sessionId, login.sessionToken);
      const kicked = { reason: 'KICKED', userId, kickedBy: this.#platform };
      witness.recordAcknowledged(
        began,
        { reason: 'LOGIN', userId, sessionId, deviceId: input.deviceId, sessionStatus: 'ONLINE' },
        ...login.kicked.map(({ id }) => ({ ...kicked, sessionId: id })),
      );
    } finally {
      socket?.sendReset();
    }
  }

  async #sendHeartbeat(): Promise<void> {
    await this.#executeWithSession(BEAT);
    this.#context.witness.recordAcknowledged(0);
  }

  async #setCustomStatus(): Promise<void> {
    const { witness } = this.#context;
    const text = `${this.#sessionId} says ${++this.#texts}`;
    const began = witness.recordSent();
    const { setCustomStatus } = await this.#executeWithSession<{ setCustomStatus: { userStatus: ObservedUser } }>(
      `mutation ($text: String) { setCustomStatus(input: { text: $text }) { ${USER} } }`,
      { text },
    );
    witness.recordUser(setCustomStatus.userStatus);
    witness.recordAcknowledged(began, { reason: 'CUSTOM_STATUS', sessionId: this.#sessionId, customStatus: text });
  }

  /** Opens a socket and cuts it. The session is attached, disconnected, and reconnected if its platform allows that. */
  async #attachAndDropSocket(): Promise<void> {
    const socket = new GraphqlSocket(this.#context.server);
    try {
      await socket.init(this.#token);
      await socket.frames.nextMatching(({ type }) => type === 'connection_ack');
      socket.sendReset();
    } catch (error) {
      this.#throwIfSessionEnded(await socket.closed);
      throw error;
    }
    for (let dropped: boolean | null = null; dropped === null;) {
      dropped = await this.#isDisconnected();
      if (dropped === null) await delay(5);
      else if (dropped) {
        await this.#executeWithSession(BEAT);
        this.#context.witness.recordReconnect(this.#sessionId);
      }
    }
  }

  /**
   * Queries the status as a backend, which is not activity.
   * @returns whether the session is PUSH_ONLINE; null while it is still ONLINE.
   */
  async #isDisconnected(): Promise<boolean | null> {
    const { witness, server } = this.#context;
    const query = `query ($id: ID!) { userStatus(userId: $id) {
      userId status version customStatus sessions { id status } } }`;
    const { userStatus } = dataOf(
      await postOperation<{ userStatus: ObservedUser & { sessions: { id: string; status: string }[] } }>(
        server,
        server.apiKey,
        query,
        { id: this.#userId },
      ),
    );
    witness.recordUser(userStatus);
    const own = userStatus.sessions.find(({ id }) => id === this.#sessionId);
    return own?.status === 'ONLINE' ? null : own !== undefined;
  }

  async #logout(): Promise<void> {
    const { witness } = this.#context;
    const began = witness.recordSent();
    const { logout } = await this.#executeWithSession<{ logout: { userStatus: ObservedUser } }>(
      `mutation { logout { ${USER} } }`,
    );
    witness.recordUser(logout.userStatus);
    witness.recordAcknowledged(began, { reason: 'LOGOUT', sessionId: this.#sessionId, sessionStatus: 'OFFLINE' });
    throw new SessionEnded('It logged out.');
  }

  /** Executes an operation with the session's own token. */
  async #executeWithSession<T>(query: string, variables?: Readonly<Record<string, unknown>>): Promise<T> {
    return this.#requireData(await postOperation<T>(this.#context.server, this.#token, query, variables));
  }

  #requireData<T>(answer: GraphqlResult<T>): T {
    const { code, reason, kickedBy } = answer.errors?.[0]?.extensions ?? {};
    if (code === 'SESSION_ENDED') {
      this.#context.witness.recordAcknowledged(0, {
        reason: String(reason),
        sessionId: this.#sessionId,
        sessionStatus: 'OFFLINE',
        kickedBy: typeof kickedBy === 'string' ? kickedBy : null,
      });
      throw new SessionEnded(`The server ended the session: ${String(reason)}.`);
    }
    return dataOf(answer);
  }

  #throwIfSessionEnded({ code, reason }: SocketClose): void {
    if (code !== 4410) return;
    this.#context.witness.recordAcknowledged(0, { reason, sessionId: this.#sessionId, sessionStatus: 'OFFLINE' });
    throw new SessionEnded(`Its socket was closed: ${reason}.`);
  }
}
