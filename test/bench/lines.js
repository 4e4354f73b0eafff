// The lines of the bench, by name, in the order in which they run.
import { diskStall } from './lines/disk-stall.js';
import { due } from './lines/due.js';
import { fanout } from './lines/fanout.js';
import { heartbeatHttp } from './lines/heartbeat-http.js';
import { heartbeatWs } from './lines/heartbeat-ws.js';
import { login } from './lines/login.js';
import { memory } from './lines/memory.js';
import { million } from './lines/million.js';
import { overload } from './lines/overload.js';
import { pingWs } from './lines/ping-ws.js';
import { query500 } from './lines/query500.js';
import { stream } from './lines/stream.js';
import { webhooks } from './lines/webhooks.js';

/** @typedef {(harness: import('./bench-harness.js').BenchHarness) => Promise<import('./rows.js').Row[]>} Line */

/** @type {Readonly<Record<string, Line>>} */
export const LINES = {
  'heartbeat-ws': heartbeatWs,
  'heartbeat-http': heartbeatHttp,
  'ping-ws': pingWs,
  login,
  fanout,
  stream,
  memory,
  million,
  due,
  query500,
  'disk-stall': diskStall,
  overload,
  webhooks,
};
