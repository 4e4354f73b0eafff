// Serves the database named by its argument and changes users as fast as it can, until it is killed. Prints one line
// per change that was acknowledged: the user and the version.
const built = (/** @type {string} */ path) => import(new URL(`../../../../dist/${path}`, import.meta.url).href);
const { openSqliteStore } = await built('storage/sqlite/open.js');
const { StoreClock } = await built('storage/clock.js');
const { DEFAULT_POLICY } = await built('core/policy.js');
const { step } = await built('core/state-machine.js');

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
async function changeForEver(id) {
  for (let count = 0; ; count++) {
    // Every login after the first kicks the one before: two events, one change.
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
      const { user } = await store.update(
        id,
        (/** @type {unknown} */ record, /** @type {unknown} */ policy, /** @type {number} */ now) =>
          step(record, each, policy, now),
      );
      process.stdout.write(`${JSON.stringify({ id, version: user.version, sessionId: command.sessionId })}\n`);
    }
  }
}

await Promise.all(Array.from({ length: 50 }, (_, index) => changeForEver(`user ${index}`)));
