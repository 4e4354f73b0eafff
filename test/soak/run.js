// A soak from its first start to its last.
import { join } from 'node:path';
import { clearInterval } from 'node:timers';
import { attacker } from './clients/attackers.js';
import { backend } from './clients/backend.js';
import { Device } from './clients/device.js';
import { Disk } from './faults/disk.js';
import { explain } from './judge/explain.js';
import { Faults } from './faults/faults.js';
import {
  compareAllStatuses,
  checkShutdown,
  checkLastStatuses,
  checkMetrics,
  checkNoConnectionsLeft,
  logInStayers,
  checkWholeLog,
} from './final-checks.js';
import { Follower } from './clients/follower.js';
import { firstPolicy, planOf } from './plan.js';
import { freePort, SoakServer } from './faults/server.js';
import { waitUntil, sleep } from './time.js';
import { Watcher } from './clients/watcher.js';
import { SoakWebhooks } from './webhooks/webhooks.js';
import { cannotWrite, SoakWorld } from './world.js';

/** What was acknowledged is in the feed within this time, when nothing disturbs. */
const RECEIVED_WITHIN_MS = 10_000;
const LOOKED_AT_EVERY_MS = 1_000;

/** @typedef {{ dist: string, directory: string, seed: number, minutes: number, users: number }} Settings */

/** @param {Settings} settings */
export async function run(settings) {
  const { dist, directory, seed, minutes } = settings;
  const plan = planOf(seed, minutes);
  const disk = new Disk(directory);
  const server = new SoakServer({ dist, directory, port: await freePort(), env: disk.env });
  const world = new SoakWorld(server, settings);
  const { journal, model, judge, disturbances, vitals } = world;
  journal.onViolation = ({ kind, words, userId }) =>
    process.stderr.write(
      `VIOLATION ${kind}${userId === null ? '' : ` of ${JSON.stringify(userId)}`}: ${words.slice(0, 600)}\n`,
    );
  listenToLog(world);

  await server.start();
  const descriptorsBefore = server.descriptors();
  await world.policy(firstPolicy());
  const { latestCursor } = await world.backend('{ latestCursor }');
  const webhooks = new SoakWebhooks(world);
  const followers = [
    new Follower(world, 'first follower', latestCursor, {
      onEvents: (events) => {
        model.addEvents(events);
        world.metrics.countEvents(events);
        webhooks.addEvents(events);
      },
    }),
    new Follower(world, 'follower over a stream', latestCursor, { overStream: true }),
    new Follower(world, 'slow follower', latestCursor, { stalls: true }),
  ];
  const [auditor] = /** @type {[Follower]} */ (followers);
  const random = world.random('population');
  const devices = world.population.flatMap((userId) =>
    Array.from(
      { length: random.weighted({ 1: 6, 2: 3, 3: 1 }) === '1' ? 1 : random.between(2, 3) },
      (_, index) => new Device(world, userId, index),
    ),
  );
  const kinds = /** @type {import('./clients/watcher.js').Kind[]} */ ([
    'fast',
    'fast',
    'fast',
    'stream',
    'drip',
    'deaf',
    'many',
    'fast',
  ]);
  const watchers = Array.from(
    { length: minutes < 5 ? 24 : 80 },
    (_, index) => new Watcher(world, index, kinds[index % kinds.length] ?? 'fast'),
  );
  const faults = new Faults(world, { devices, followers, disk }, join(directory, 'copies'));

  const following = followers.map((follower) => follower.run());
  await webhooks.open();
  webhooks.run();
  const living = [
    ...devices.map((device) => device.run()),
    ...watchers.map((watcher) => watcher.run()),
    ...Array.from({ length: 2 }, () => backend(world)),
    ...Array.from({ length: 2 }, (_, index) => attacker(world, index)),
  ];
  const looking = setInterval(() => {
    judge.checkOverdueTimeouts();
    const completeSince = Math.max(disturbances.calmSince(), auditor.since);
    if (Date.now() - completeSince > RECEIVED_WITHIN_MS) {
      model.reportOverdue(Date.now() - RECEIVED_WITHIN_MS);
      webhooks.checkDeliveries();
    }
    forgetOld(world);
  }, LOOKED_AT_EVERY_MS);
  const reporting = setInterval(
    () => process.stderr.write(`${vitals.line(devices)}\n`),
    Math.min(60_000, minutes * 20_000),
  );

  await carryOut(world, faults, plan, minutes);
  process.stderr.write('All fall quiet.\n');
  world.changesStopped = true;
  await faults.settled();
  await server.up();
  await webhooks.settled();
  // What was under way comes to its end.
  await sleep(minutes < 5 ? 3_000 : 15_000);
  await waitUntil(() => model.outstanding === 0, RECEIVED_WITHIN_MS);
  await compareAllStatuses(world, 'when all are quiet');
  await checkLastStatuses(world, watchers);
  await checkWholeLog(world, followers, latestCursor);
  await webhooks.drained('when all are quiet');
  await checkMetrics(world);
  for (const userId of world.random('explained').some(world.userIds, 200)) await explain(world, userId);

  process.stderr.write('All leave.\n');
  world.isOver = true;
  world.pauses.cancelAll();
  server.release();
  for (const watcher of watchers) watcher.stop();
  for (const follower of followers.slice(1)) follower.stop();
  await Promise.race([Promise.all(living), sleep(20_000)]);
  const left = await checkNoConnectionsLeft(world, descriptorsBefore);
  clearInterval(looking);
  clearInterval(reporting);
  await logInStayers(world);
  await checkShutdown(world, () => webhooks.drained('after the last restart'));
  await webhooks.close();
  for (const follower of followers) follower.stop();
  await Promise.race([Promise.all(following), sleep(2_000)]);
  vitals.stop();
  vitals.expectSteadyMemory();

  return {
    seed,
    minutes,
    users: settings.users,
    devices: devices.length,
    violated: journal.violated,
    violationCounts: Object.fromEntries(journal.violationCounts),
    violations: journal.violations,
    counts: Object.fromEntries([...journal.counts].sort(([one], [other]) => one.localeCompare(other))),
    events: model.events,
    reasons: Object.fromEntries(model.reasons),
    lateness: summaries(judge.lateness),
    margin: summaries(judge.margin),
    startsMs: faults.starts.summary(),
    recoveriesMs: faults.recoveries.summary(),
    webhooks: webhooks.summary(),
    disturbances: disturbances.summary(),
    epochs: server.starts,
    ...vitals.summary(),
    ...left,
    faults: journal.faults,
  };
}

/** @typedef {Awaited<ReturnType<typeof run>>} Found */

/** @param {Record<string, import('./judge/journal.js').Histogram>} histograms */
const summaries = (histograms) =>
  Object.fromEntries(Object.entries(histograms).map(([name, histogram]) => [name, histogram.summary()]));

/** @param {SoakWorld} world @param {Faults} faults @param {readonly import('./plan.js').Step[]} plan @param {number} minutes */
async function carryOut(world, faults, plan, minutes) {
  const began = Date.now();
  const underWay = [];
  for (const step of plan) {
    await sleep(began + step.atMs - Date.now());
    underWay.push(faults.carryOut(step));
  }
  await sleep(began + minutes * 60_000 - Date.now());
  world.changesStopped = true;
  await Promise.race([Promise.all(underWay), sleep(90_000)]);
}

/** An error or exit that no fault of the soak explains is the server's. @param {SoakWorld} world */
function listenToLog(world) {
  const { server, journal, disturbances } = world;
  server.onLine = (line) => {
    for (const secret of world.secrets)
      if (line.includes(secret.slice('whsec_'.length)))
        journal.violate('secret', `is in the log: ${line.slice(0, 2_000)}`);
  };
  server.onWarning = ({ level, msg, line }) => {
    journal.count(`log: ${level === 'warn' ? 'warning' : 'error'}: ${msg.slice(0, 80)}`);
    const isExplained = disturbances.between(Date.now() - 2_000, Date.now(), cannotWrite);
    if (level !== 'warn' && !isExplained) journal.violate('log', line.slice(0, 2_000));
  };
  server.onDeath = (exit, said) => {
    journal.violate('death', `${JSON.stringify(exit)}: ${said}`);
    // The soak needs a server to go on.
    const end = disturbances.begin('down');
    void sleep(500)
      .then(() => server.start())
      .then(end);
  };
}

/** Sessions that ended long ago: nothing will be asked about them. @param {SoakWorld} world */
function forgetOld({ sessions, model }) {
  const before = Date.now() - 120_000;
  for (const [id] of sessions) {
    const end = model.ended.get(id);
    if (end === undefined) continue;
    if (end.occurredAt < before) sessions.delete(id);
    else break;
  }
}
