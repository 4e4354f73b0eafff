// The lines of the bench, by name, in the order in which they run.
import { fanout } from './lines/fanout.js';
import { heartbeatHttp } from './lines/heartbeat-http.js';
import { heartbeatWs } from './lines/heartbeat-ws.js';
import { login } from './lines/login.js';

/** @typedef {(stage: import('./stage.js').Stage) => Promise<import('./rows.js').Row[]>} Line */

/** @type {Readonly<Record<string, Line>>} */
export const LINES = {
  'heartbeat-ws': heartbeatWs,
  'heartbeat-http': heartbeatHttp,
  login,
  fanout,
};
