// A backend's other work: it pages, counts, throws people out, asks about many, and scrapes.
import { ConnectionGone, NoAnswer } from './connection.js';
import { explain } from '../judge/explain.js';
import { userToken } from './tokens.js';
import { cannotWrite, RequestRefused } from '../world.js';

/** @typedef {import('../world.js').SoakWorld} World */

const ACTS = {
  statuses: 10,
  online: 4,
  events: 4,
  stats: 3,
  end: 5,
  endAndRevoke: 3,
  explain: 4,
  metrics: 2,
  ended: 4,
  revoked: 3,
};

/** @param {World} world */
export async function backend(world) {
  const random = world.random('backend');
  const { pauses, journal, server } = world;
  while (!world.isOver) {
    await pauses.pause(random.between(100, 900));
    if (world.changesStopped) {
      await pauses.pause(300);
      continue;
    }
    const act = random.weighted(ACTS);
    const since = Date.now();
    journal.count(`backend: ${act}`);
    try {
      await WORK[act](world, random);
    } catch (error) {
      if (error instanceof ConnectionGone || error instanceof NoAnswer)
        world.reportError(error, `backend, ${act}`, since, null);
      else if (!(error instanceof RequestRefused)) world.reportError(error, `backend, ${act}`, since, null);
      else if (world.retryDelayMs(error) !== null) await pauses.pause(100);
      else if (!world.disturbances.between(since, Date.now(), (kind) => cannotWrite(kind) || kind === 'down'))
        journal.violate('error', `backend, ${act}: ${error.message}`);
    }
    if (!server.isUp) await server.up();
  }
}

/** @type {Record<keyof typeof ACTS, (world: World, random: import('../random.js').Random) => Promise<unknown>>} */
const WORK = {
  /** Each status in the answer is at least as new as the feed was when the query was sent. */
  async statuses(world, random) {
    const ids = random.some(world.userIds, random.between(1, 200));
    const before = ids.map((id) => world.model.user(id).life.version);
    const observed = await world.statuses(ids);
    observed.forEach((/** @type {{ userId: string, version: number }} */ user, /** @type {number} */ index) => {
      if (user.userId !== ids[index])
        world.journal.violate('query', `asked for ${ids[index]}, got ${user.userId}`, user.userId);
      if (user.version < /** @type {number} */ (before[index]))
        world.journal.violate('query', `version ${user.version}, though the feed was at ${before[index]}`, user.userId);
    });
  },

  async online(world, random) {
    const status = random.pick(['ONLINE', 'PUSH_ONLINE', null]);
    /** @type {Set<string>} */
    const seen = new Set();
    let after = null;
    for (let page = 0; page < 100; page++) {
      const { onlineUsers } = await world.backend(
        `query ($after: String, $status: Status) { onlineUsers(first: 200, after: $after, status: $status) {
          nodes { userId status version customStatus } pageInfo { hasNextPage endCursor } } }`,
        { after, status },
      );
      for (const { userId, ...observed } of onlineUsers.nodes) {
        if (seen.has(userId)) world.journal.violate('paging', `onlineUsers lists a user twice`, userId);
        if (observed.status === 'OFFLINE' || (status !== null && observed.status !== status))
          world.journal.violate('paging', `${observed.status} in a page of ${status}`, userId);
        seen.add(userId);
        world.model.checkObservation(userId, observed, 'onlineUsers');
      }
      if (!onlineUsers.pageInfo.hasNextPage) return;
      after = onlineUsers.pageInfo.endCursor;
    }
    world.journal.violate('paging', 'onlineUsers does not end');
  },

  /** The log of one user contains the last event of the feed. */
  async events(world, random) {
    const userId = random.pick(world.userIds);
    const known = world.model.user(userId).events.slice(-20);
    if (known.length < 2) return;
    const { events } = await world.backend(
      `query ($after: Cursor, $userId: ID) { events(first: 100, after: $after, userId: $userId) { nodes { cursor } } }`,
      { userId, after: known[0]?.cursor },
    );
    const found = events.nodes.map((/** @type {{ cursor: string }} */ { cursor }) => cursor);
    known.slice(1).forEach(({ cursor }, index) => {
      if (found[index] !== cursor)
        world.journal.violate('paging', `events says ${found[index]} where the feed said ${cursor}`, userId);
    });
  },

  async stats(world) {
    const { stats } = await world.backend(
      '{ stats { usersOnline usersPushOnline sockets sessions { online pushOnline } } }',
    );
    const sum = (/** @type {'online' | 'pushOnline'} */ which) =>
      stats.sessions.reduce((/** @type {number} */ all, /** @type {any} */ of) => all + of[which], 0);
    if (sum('online') < stats.usersOnline) world.journal.violate('stats', JSON.stringify(stats));
  },

  async end(world, random) {
    await endSessions(world, random, false);
  },

  async endAndRevoke(world, random) {
    await endSessions(world, random, true);
  },

  async explain(world, random) {
    await explain(world, random.pick(world.userIds));
  },

  async metrics(world) {
    await world.metrics.scrape();
  },

  /** A token of a session that is over says how it ended. */
  async ended(world, random) {
    const sessions = [...world.sessions.values()];
    const known = sessions.length === 0 ? null : random.pick(sessions);
    const end = known === null ? undefined : world.model.ended.get(known.id);
    if (known === null || end === undefined) return;
    const { errors } = await world.http.request(known.token, '{ me { id } }');
    const { code, reason, endedAt, kickedBy } = errors?.[0]?.extensions ?? {};
    if (code === 'OVERLOADED') return;
    if (
      code !== 'SESSION_ENDED' ||
      reason !== end.reason ||
      Date.parse(endedAt ?? '') !== end.occurredAt ||
      (kickedBy ?? null) !== end.kickedBy
    )
      world.journal.violate(
        'ended',
        `${known.id}: ${JSON.stringify(errors)}, but the feed says ${JSON.stringify(end)}`,
        known.userId,
      );
  },

  /** A JWT of before it was revoked is refused. */
  async revoked(world, random) {
    const userId = `revoked-${random.int(20)}`;
    const jwt = userToken(userId);
    await world.backend('mutation ($input: EndSessionsInput!) { endSessions(input: $input) { ended { id } } }', {
      input: { userId, revokeTokens: true },
    });
    const { errors } = await world.http.request(jwt, '{ userStatus(userId: "a") { status } }');
    if (errors?.[0]?.extensions?.code !== 'UNAUTHENTICATED')
      world.journal.violate('revoked', `a revoked JWT is answered ${JSON.stringify(errors)}`, userId);
  },
};

/** @param {World} world @param {import('../random.js').Random} random @param {boolean} revokeTokens */
export async function endSessions(world, random, revokeTokens) {
  const userId = random.pick(world.userIds);
  world.journal.act(userId, `a backend ends the sessions of a user${revokeTokens ? ' and revokes their tokens' : ''}`);
  // Though the answer may never come, from now on a token of before may be refused.
  if (revokeTokens) world.revokedAt.set(userId, Date.now() + 1_000);
  const data = await world.backend(
    `mutation ($input: EndSessionsInput!) { endSessions(input: $input) {
      ended { id } userStatus { status version customStatus } } }`,
    { input: { userId, revokeTokens } },
  );
  if (revokeTokens) world.revokedAt.set(userId, Date.now());
  const { ended, userStatus } = data.endSessions;
  for (const { id } of ended) world.model.expectSessionEnd(userId, id, 'REVOKED', { by: 'endSessions' });
  world.model.checkObservation(userId, userStatus, 'endSessions');
}
