// Keeps the user of a web page ONLINE, also while the page is hidden. It needs the npm package graphql-ws.
//   import { startPresence } from './web.mjs';
//   const { client, stop } = startPresence({ url: 'wss://presence.example/graphql', getJwt, deviceId, onSessionEnd });
import { createClient } from 'graphql-ws';

/** The heartbeat interval of WEB. In a hidden page the ping is up to one second late. */
const PING_EVERY_MS = 20_000;
/** A socket on which no pong comes within this time is replaced. */
const PONG_WITHIN_MS = 10_000;

const LOGIN = 'mutation ($input: LoginInput!) { login(input: $input) { session { id } } }';
const HEARTBEAT = 'mutation ($input: HeartbeatInput) { heartbeat(input: $input) { heartbeatIntervalMs } }';

/**
 * Opens a socket and logs in on it, again after every reconnect.
 *
 * @param getJwt returns a JWT of the user, or a promise of one. It is called for every socket.
 * @param deviceId an id that this browser keeps, for example in localStorage.
 * @param onSessionEnd receives the reason, such as KICKED, when another login or a backend ended the session. REPLACED
 *   means that another tab of this browser has logged in with the same device id.
 * @returns `client` for subscriptions, and `stop`, which closes the socket and so ends the session.
 */
export const startPresence = ({ url, getJwt, deviceId, onSessionEnd, onError = console.error }) => {
  let pongTimer;
  let hasEnded = false;
  const end = () => {
    hasEnded = true;
    document.removeEventListener('visibilitychange', reportAppState);
  };
  const client = createClient({
    url,
    lazy: false,
    connectionParams: async () => ({ authorization: `Bearer ${await getJwt()}` }),
    // A ping is activity. The pong starts the timer of the next ping, so it is not in a chain of timers. Browsers fire
    // chained timers of hidden pages, such as setInterval, only once a minute.
    keepAlive: PING_EVERY_MS,
    retryAttempts: Infinity,
    retryWait: (retries) =>
      new Promise((resolve) => setTimeout(resolve, Math.min(30_000, 1_000 * 2 ** retries) * (0.5 + Math.random() / 2))),
    // After a pause of the computer the session has timed out, and the page logs in again. Other ends are final.
    shouldRetry: ({ code, reason }) => code !== 4410 || reason === 'HEARTBEAT_TIMEOUT',
    onNonLazyError: (error) => {
      // A login now would end the session of the other device.
      end();
      if (error.code === 4410) onSessionEnd(error.reason);
      else onError(error);
    },
    on: {
      connected: () => {
        if (!hasEnded) void logIn();
      },
      ping: (isReceived) => {
        if (!isReceived) pongTimer = setTimeout(() => client.terminate(), PONG_WITHIN_MS);
      },
      pong: (isReceived) => {
        if (isReceived) clearTimeout(pongTimer);
      },
      closed: () => clearTimeout(pongTimer),
    },
  });

  const execute = async (query, input) => {
    try {
      const { value } = await client.iterate({ query, variables: { input } }).next();
      if (value?.errors) onError(value.errors);
    } catch (error) {
      // The socket closed for good: onNonLazyError reports that too.
      onError(error);
    }
  };
  const reportAppState = () => execute(HEARTBEAT, { appState: document.hidden ? 'BACKGROUND' : 'FOREGROUND' });
  const logIn = async () => {
    await execute(LOGIN, { platform: 'WEB', deviceId });
    if (document.hidden) await reportAppState();
  };
  document.addEventListener('visibilitychange', reportAppState);

  const stop = () => {
    end();
    return client.dispose();
  };
  return { client, stop };
};
