// The end of a soak: all clients fall quiet, and every source of a user's status must agree.
import { readFileSync } from 'node:fs';
import { hashOf } from './random.js';
import { waitUntil } from './time.js';
import { userToken } from './clients/tokens.js';
import { isUnknownCommand } from './faults/faults.js';

/** @typedef {import('./world.js').SoakWorld} World */

const SETTLED_WITHIN_MS = 30_000;
const AT_ONCE = 200;

/** What every user is: by the feed, by a query, by explainStatus. @param {World} world @param {string} when */
export async function compareAllStatuses(world, when) {
  const { model, journal, userIds } = world;
  let differing = [...userIds];
  /** @type {Map<string, string>} */
  let how = new Map();
  // Some statuses expire at this moment: a user who differs is queried again, until the feed has the change.
  const areSame = await waitUntil(
    async () => {
      how = new Map();
      for (let start = 0; start < differing.length; start += AT_ONCE) {
        for (const said of await world.statuses(differing.slice(start, start + AT_ONCE))) {
          const { life } = model.user(said.userId);
          const mine = JSON.stringify(
            picture(life.status, life.version, life.customStatus, [...life.liveSessions.values()]),
          );
          const theirs = JSON.stringify(picture(said.status, said.version, said.customStatus, said.sessions));
          if (mine !== theirs) how.set(said.userId, `the feed says ${mine}, a query ${theirs}`);
        }
      }
      differing = [...how.keys()];
      return differing.length === 0;
    },
    SETTLED_WITHIN_MS,
    250,
  );
  if (!areSame) for (const [userId, words] of how) journal.violate('present', `${when}: ${words}`, userId);
  journal.count('compared: users by a query and by the feed', userIds.length);
}

/**
 * @param {string} status
 * @param {number} version
 * @param {string | null} customStatus
 * @param {readonly { id: string, status: string }[]} sessions
 */
const picture = (status, version, customStatus, sessions) => ({
  status,
  version,
  customStatus,
  sessions: sessions.map((session) => `${session.id} ${session.status}`).sort(),
});

/** The last word of every watcher is the present. @param {World} world @param {readonly import('./clients/watcher.js').Watcher[]} watchers */
export async function checkLastStatuses(world, watchers) {
  const { model, journal } = world;
  for (const watcher of watchers) watcher.hurry();
  /** @type {(() => void)[]} */
  let wrong = [];
  let compared = 0;
  await waitUntil(() => {
    wrong = [];
    compared = 0;
    for (const watcher of watchers) {
      if (!watcher.isFollowing) wrong.push(() => journal.violate('last status', `${watcher.name} receives nothing`));
      else
        for (const userId of watcher.ids) {
          const { status, version, customStatus } = model.user(userId).life;
          const observed = watcher.last.get(userId);
          compared++;
          if (observed?.version === version && observed.status === status && observed.customStatus === customStatus)
            continue;
          wrong.push(() =>
            journal.violate(
              'last word',
              `${watcher.name} last received ${JSON.stringify(observed)}; the user is ${status}, version ${version}`,
              userId,
            ),
          );
        }
    }
    return wrong.length === 0;
  }, SETTLED_WITHIN_MS);
  for (const report of wrong) report();
  journal.count('compared: last words of watchers', compared);
}

/** The log, read page by page, equals what every follower has received. @param {World} world @param {readonly import('./clients/follower.js').Follower[]} followers @param {string} from */
export async function checkWholeLog(world, followers, from) {
  const { journal, model } = world;
  const query = `query ($after: Cursor) { events(first: 500, after: $after) {
    nodes { cursor userId } pageInfo { hasNextPage endCursor } } }`;
  /** @type {Map<string, { count: number, hash: number }>} */
  const log = new Map();
  let count = 0;
  for (let after = from, more = true; more;) {
    const { events } = await world.backend(query, { after });
    for (const { cursor, userId } of events.nodes) {
      const received = log.get(userId) ?? { count: 0, hash: 0 };
      received.count++;
      received.hash = Math.imul(received.hash ^ hashOf(cursor), 0x01000193);
      log.set(userId, received);
      count++;
    }
    more = events.pageInfo.hasNextPage;
    after = events.pageInfo.endCursor;
  }
  for (const follower of followers) {
    follower.hurry();
    await waitUntil(() => follower.count >= count, SETTLED_WITHIN_MS);
    if (follower.count < count)
      journal.violate('feed', `a follower received ${follower.count} events, the log has ${count}`);
    for (const [userId, expected] of log) {
      const received = follower.received.get(userId);
      // What came after the log was read only makes it more.
      if (received === undefined || received.count < expected.count)
        journal.violate('feed', `a follower received ${received?.count ?? 0} of ${expected.count} events`, userId);
      else if (received.count === expected.count && received.hash !== expected.hash)
        journal.violate('feed', `a follower received other events than the log has, or in another order`, userId);
    }
  }
  journal.count('compared: events of the log with each follower', count);
  if (model.events < count) journal.violate('feed', `the first follower received ${model.events} of ${count}`);
}

/** The counters that Prometheus reads equal the events of the feed. @param {World} world */
export async function checkMetrics({ metrics, journal }) {
  /** @type {string[]} */
  let differing = [];
  await waitUntil(async () => (differing = await metrics.differences()).length === 0, SETTLED_WITHIN_MS, 500);
  for (const words of differing) journal.violate('metrics', words);
}

/** What the kernel knows of connections to a port, by their states: 01 is open. @param {number} port */
function connections(port) {
  const remote = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1);
  const columns = lines.map((line) => line.trim().split(/\s+/)).filter((line) => line[2]?.endsWith(remote));
  return columns.map((line) => `${line[1]} in ${line[3]}`).join(', ');
}

/** No socket is left but that of the one follower who stays. @param {World} world @param {number} descriptorsBefore */
export async function checkNoConnectionsLeft(world, descriptorsBefore) {
  const { journal, server } = world;
  let sockets = -1;
  await waitUntil(async () => {
    const { stats } = await world.backend('{ stats { sockets } }');
    sockets = stats.sockets;
    return sockets === 1;
  }, SETTLED_WITHIN_MS);
  if (sockets !== 1) {
    const open = connections(server.port);
    journal.violate('sockets', `${sockets} are left after all clients closed; connections of this process: ${open}`);
  }
  world.http.close();
  let descriptors = 0;
  // That follower, this question, and files that are just being read.
  const isBack = await waitUntil(
    () => (descriptors = server.descriptors()) <= descriptorsBefore + 4,
    SETTLED_WITHIN_MS,
  );
  if (!isBack)
    journal.violate('descriptors', `${descriptors} are open, ${descriptorsBefore} were before the first client`);
  return { descriptorsBefore, descriptors };
}

/**
 * It ends well, what it leaves is whole, and it comes back as it was.
 * @param {World} world
 * @param {() => Promise<void>} alsoAsBefore looks at what else is the same
 */
export async function checkShutdown(world, alsoAsBefore) {
  const { journal, server, model, disturbances } = world;
  const end = disturbances.begin('down');
  const exit = await server.end('SIGTERM');
  if (exit.code !== 0) journal.violate('exit', `at the end, after SIGTERM: ${JSON.stringify(exit)}`);
  const { code, said } = await server.command(['doctor', server.database]);
  if (isUnknownCommand(code, said)) journal.count('not possible here: doctor');
  else if (code !== 0) journal.violate('doctor', `at the end: exit ${code}: ${said.slice(-3_000)}`);
  await server.start();
  end();
  await compareAllStatuses(world, 'after the last restart');
  await waitUntil(() => model.outstanding === 0, SETTLED_WITHIN_MS);
  model.reportOverdue(Infinity);
  await alsoAsBefore();
  await server.end('SIGTERM');
}

/** Logs in some users when all others are gone, so that the last restart has sessions to keep. @param {World} world */
export async function logInStayers(world) {
  for (const userId of world.stayers) {
    const { data } = await world.http.request(
      userToken(userId),
      'mutation { login(input: {platform: IPHONE}) { session { id } } }',
    );
    if (data == null) world.journal.violate('login', 'rejected although no other client is connected', userId);
    else world.model.expectEvent(userId, data.login.session.id, 'login at the end', ({ reason }) => reason === 'LOGIN');
  }
}
