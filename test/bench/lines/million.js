// A million users on 1.3 million sessions and no socket: what they take, how long a restart takes with them, and
// whether the event loop still turns while 1 % of them beat every second.
import { graphqlRequest } from '../client/http.js';
import { paced } from '../client/paced.js';
import { HEARTBEAT } from '../client/tokens.js';
import { fill, sessionsOf, sessionToken } from '../database.js';
import { rssBytes, sleep } from '../os.js';
import { percentile, row } from '../rows.js';
import { settled } from './memory.js';

const BODY = JSON.stringify({ query: HEARTBEAT });

/** @param {import('../bench-harness.js').BenchHarness} harness */
export async function million(harness) {
  const users = harness.quick ? 5_000 : 1_000_000;
  const sessions = sessionsOf(users);
  const directory = harness.directory();
  harness.say(`making ${users.toLocaleString('en')} users`);
  await fill(harness.settings.dist, directory, users);
  const empty = await harness.porchlight();
  const withoutUsers = await settled(empty);
  const server = await harness.porchlight({ directory });
  const peak = rssBytes(server.pid);
  const bytes = ((await settled(server)) - withoutUsers) / sessions;
  const beats = await beating(harness, server, users);
  const of = sessions.toLocaleString('en');
  const { line } = harness;
  return [
    row({ line, figure: `a session of ${of}`, unit: 'bytes RSS', ours: [bytes], aim: { atMost: 300 } }),
    row({ line, figure: 'RSS at the restart', unit: 'MiB', ours: [peak / 1024 / 1024] }),
    row({ line, figure: 'ready after a restart', unit: 'ms', ours: [server.readyMs], aim: { atMost: 5_000 } }),
    row({
      line,
      figure: 'longest stall while 1 % beat a second',
      unit: 'ms',
      ours: [beats.stall],
      aim: { atMost: 50 },
    }),
    row({ line, figure: 'beats answered meanwhile', unit: 'a second', ours: [beats.perSecond], notes: beats.notes }),
    row({ line, figure: 'a beat meanwhile, p99', unit: 'ms', ours: [beats.p99] }),
  ];
}

/**
 * @param {import('../bench-harness.js').BenchHarness} harness
 * @param {import('../bench-harness.js').Server} server
 * @param {number} users
 */
async function beating(harness, server, users) {
  const forMs = harness.quick ? 1_000 : 20_000;
  const perSecond = users / 100;
  let turn = 0;
  const load = await paced(server.port, {
    connections: 100,
    perSecond,
    // Scattered, as people are: 7919 and the number of users have no divisor in common.
    next: () => graphqlRequest(sessionToken((turn++ * 7_919) % users), BODY),
  });
  load.start();
  await Promise.race([sleep(forMs / 10), load.failed]);
  await server.ask('watchStalls');
  const before = load.done;
  const missedBefore = load.missed;
  load.took.length = 0;
  await Promise.race([sleep(forMs), load.failed]);
  const { max } = await server.ask('stallsSeen');
  const answered = load.done - before;
  const missed = load.missed - missedBefore;
  load.stop();
  const notes = missed > answered / 50 ? [`of ${perSecond.toLocaleString('en')} a second; the rest was too much`] : [];
  return { stall: max, perSecond: (answered * 1_000) / forMs, p99: percentile(load.took, 0.99), notes };
}
