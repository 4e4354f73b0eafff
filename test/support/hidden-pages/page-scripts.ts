/**
 * The scripts of the pages. Each keeps a session of WEB alive in its own way. `report` is a function of the test. Kinds
 * of reports: `online` after a login, `beat` for each ping or heartbeat, `tick` for each call of a function that
 * setInterval should call once a second, `closed …` with the reason of the server, `hidden` and `visible`.
 */

const REPORTS = `
const reportAs = (kind) => report({ kind, page: options.page, at: performance.now(), hidden: document.hidden });
document.addEventListener('visibilitychange', () => reportAs(document.hidden ? 'hidden' : 'visible'));
setInterval(() => reportAs('tick'), 1_000);
`;

const OPTIONS = `
const options = Object.fromEntries(new URLSearchParams(location.search));
const heartbeatEveryMs = Number(options.heartbeatEveryMs);
`;

/** A client that logs in on each socket and sends no pings. `beat` sends a heartbeat. */
const CLIENT_WITHOUT_PINGS = `
import { createClient } from '/graphql-ws/client.js';
${OPTIONS}${REPORTS}
const client = createClient({
  url: options.url,
  lazy: false,
  connectionParams: { authorization: 'Bearer ' + options.jwt },
  retryAttempts: Infinity,
  shouldRetry: () => true,
  on: { connected: () => logIn(), closed: (event) => reportAs('closed ' + event.reason) },
});
const execute = (query) => client.iterate({ query }).next();
const logIn = async () => {
  await execute('mutation { login(input: { platform: WEB, deviceId: "browser" }) { session { id } } }');
  reportAs('online');
};
const beat = async () => {
  reportAs('beat');
  await execute('mutation { heartbeat { heartbeatIntervalMs } }');
};
`;

export const PAGE_SCRIPTS = {
  keepAlive: `
import { startPresence } from '/web.mjs';
${OPTIONS}${REPORTS}
const { client } = startPresence({
  url: options.url,
  getJwt: () => options.jwt,
  deviceId: 'browser',
  onSessionEnd: () => undefined,
});
client.on('closed', (event) => reportAs('closed ' + event.reason));
client.on('message', (message) => {
  if (message.payload?.data?.login) reportAs('online');
});
client.on('ping', (isReceived) => {
  if (!isReceived) reportAs('beat');
});
`,
  worker: `${CLIENT_WITHOUT_PINGS}
const source = 'setInterval(() => postMessage(null), ' + heartbeatEveryMs + ')';
const worker = new Worker(URL.createObjectURL(new Blob([source])));
worker.onmessage = beat;
`,
  setInterval: `${CLIENT_WITHOUT_PINGS}
setInterval(beat, heartbeatEveryMs);
`,
  front: '',
} as const;

/** How a page sends heartbeats. */
export type HeartbeatKind = Exclude<keyof typeof PAGE_SCRIPTS, 'front'>;
