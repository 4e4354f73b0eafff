// explainStatus agrees with every other source of a user's status.

/** @typedef {import('../world.js').SoakWorld} World */

const EXPLAIN = `query ($userId: ID!) { explainStatus(userId: $userId) {
  asOf because decidedBy { id status } userStatus { status version customStatus sessions { id status } }
  sessions { session { id status } heartbeatTimeoutMs nextDeadline { at reason becomes } }
  nextDeadline { at } nextStatusChange { at status: becomes } events { cursor reason status version } } }`;

/** @param {World} world @param {string} userId */
export async function explain(world, userId) {
  const { journal, model, sessions, policies } = world;
  const known = model.user(userId).events.slice(-10).reverse();
  const { explainStatus: explanation } = await world.backend(EXPLAIN, { userId });
  journal.count('explained');
  const { userStatus, decidedBy, events } = explanation;
  const expect = (/** @type {boolean} */ holds, /** @type {string} */ words) => {
    if (!holds) journal.violate('explain', `${words}: ${JSON.stringify(explanation)}`, userId);
  };
  model.checkObservation(userId, userStatus, 'explainStatus');
  expect((decidedBy === null) === (userStatus.status === 'OFFLINE'), 'who decides');
  expect(decidedBy === null || decidedBy.status === userStatus.status, 'who decides has the status');
  expect((explanation.nextStatusChange === null) === (userStatus.status === 'OFFLINE'), 'the next change');
  const [last] = events;
  expect(
    last === undefined || (last.status === userStatus.status && last.version === userStatus.version),
    'the last event',
  );
  // Every event that the feed had before the query is among them, or more than ten followed since.
  const [newest] = known;
  const at =
    newest === undefined
      ? -1
      : events.findIndex((/** @type {{ cursor: string }} */ event) => event.cursor === newest.cursor);
  expect(newest === undefined || at >= 0 || events.length === 10, `the last event of the feed, ${newest?.cursor}`);
  if (at >= 0) {
    const tail = events.slice(at).map((/** @type {{ cursor: string }} */ { cursor }) => cursor);
    expect(
      tail.every((/** @type {string} */ cursor, /** @type {number} */ index) => known[index]?.cursor === cursor),
      'the events of the feed',
    );
  }
  for (const { session, heartbeatTimeoutMs } of explanation.sessions) {
    const rows = sessions.get(session.id)?.possiblePolicyRows(policies, Date.now()) ?? [];
    const isSure = rows.length > 0 && !policies.isUnsure;
    expect(
      !isSure || rows.some((row) => row.heartbeatTimeoutMs === heartbeatTimeoutMs),
      `the timings of ${session.id}`,
    );
  }
}
