// Opens the database of its first argument and changes users as fast as it can, until it is killed. Prints one line of
// JSON per acknowledged change: the user, the version and the session.
const built = (/** @type {string} */ path) => import(new URL(`../../../../dist/${path}`, import.meta.url).href);
const { openSqliteStore } = await built('storage/sqlite/open.js');
const { StoreClock } = await built('storage/clock.js');
const { DEFAULT_POLICY } = await built('core/policy.js');
const { applyCommand } = await built('core/state-machine.js');

const [, , path = '', round = ''] = process.argv;
const store = await openSqliteStore({
  path,
  clock: new StoreClock().now,
  policySeed: DEFAULT_POLICY,
  eventRetentionMs: 86_400_000,
  onFailure: (/** @type {Error} */ error) => {
    throw error;
  },
});

/** @param {string} id */
async function changeEndlessly(id) {
  for (let count = 0; ; count++) {
    // Each login after the first kicks the previous session: two events in one change.
    const command = {
      type: 'login',
      sessionId: `${id} ${round} ${count}`,
      platform: count % 2 === 0 ? 'ANDROID' : 'WEB',
      deviceId: `${round} ${count}`,
      tokenHash: 'hash',
      appVersion: null,
      osVersion: null,
      ipAddress: null,
      watchScope: null,
      socketId: null,
    };
    const text = { type: 'setCustomStatus', sessionId: command.sessionId, text: `${round} ${count}` };
    for (const each of [command, text]) {
      const { user } = await store.updateUser(
        id,
        (/** @type {unknown} */ record, /** @type {unknown} */ policy, /** @type {number} */ now) =>
          applyCommand(record, each, policy, now),
      );
      process.stdout.write(`${JSON.stringify({ id, version: user.version, sessionId: command.sessionId })}\n`);
    }
  }
}

await Promise.all(Array.from({ length: 50 }, (_, index) => changeEndlessly(`user ${index}`)));
