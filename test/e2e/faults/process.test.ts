/** Faults of the process: uncaught errors, low memory and exhausted file descriptors. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { codeOf, postOperation, GraphqlSocket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess, withTimeout } from '../../support/porchlight-process.ts';
import { sendHeartbeat, logIn, LOGIN, fetchUser } from '../support/users.ts';
import { delay } from '../support/stopwatch.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-fault-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const UNCAUGHT_ERRORS = {
  'an unhandled rejection': "void Promise.reject(new Error('unexpected failure'))",
  'an uncaught exception': "setImmediate(() => { throw new Error('unexpected failure') })",
  'an unhandled rejection with a string': "void Promise.reject('unexpected failure')",
};

describe.each(Object.entries(UNCAUGHT_ERRORS))('%s', (_name, statement) => {
  test('is logged as fatal with its stack, ends the server with code 1, and loses no data', async () => {
    // The fault is injected with --import, because the server itself has no way to trigger one.
    const hook = join(directory, 'hook.mjs');
    writeFileSync(hook, `process.on('SIGUSR2', () => { ${statement}; });`);
    const env = { NODE_OPTIONS: `--import ${pathToFileURL(hook).href}` };
    await using before = await startPorchlight({ env });
    const device = await logIn(before, 'alice', 'IPHONE');
    const socket = await GraphqlSocket.open(before, device.token);
    const { lastSeenAt } = await sendHeartbeat(before, device);
    before.signal('SIGUSR2');
    expect(await withTimeout(before.exited, 15_000, before.output)).toEqual({ code: 1, signal: null });
    expect(await socket.closed).toMatchObject({ code: 1012 });
    const fatalLines = before
      .output()
      .split('\n')
      .filter((line) => line.includes('"level":"fatal"'));
    expect(fatalLines).toHaveLength(1);
    expect(fatalLines[0]).toMatch(/unexpected failure/);
    if (!statement.includes("reject('")) expect(fatalLines[0]).toMatch(/hook\.mjs:1/);

    await using after = await startPorchlight({ directory: before.directory });
    const user = await fetchUser(after, 'alice');
    expect(user).toMatchObject({ status: 'ONLINE', version: 1 });
    // The last activity, which was in memory only, is written before the exit.
    expect(Date.parse(user.lastSeenAt ?? '')).toBeGreaterThanOrEqual(Date.parse(lastSeenAt));
  });
});

test('with a nearly full heap logins are OVERLOADED and existing clients are served, until memory is free again', async () => {
  // The first signal fills the heap with arrays (typed arrays are not in the heap); the second one frees them.
  const hook = join(directory, 'ballast.mjs');
  writeFileSync(
    hook,
    `import { getHeapSpaceStatistics } from 'node:v8';
     let ballast = [];
     const used = () => getHeapSpaceStatistics().reduce((sum, { space_used_size }) => sum + space_used_size, 0);
     process.on('SIGUSR2', () => {
       const filled = ballast.length > 0;
       ballast = [];
       globalThis.gc();
       // V8 aborts when repeated collections free nothing, so the heap is filled without collections.
       if (!filled) for (let mib = used() >> 20; mib < 178; mib++) ballast.push(Array(131_072).fill(0));
     });`,
  );
  const env = { NODE_OPTIONS: `--max-old-space-size=192 --expose-gc --import ${pathToFileURL(hook).href}` };
  await using server = await startPorchlight({ env });
  const device = await logIn(server, 'connected', 'IPHONE');
  const socket = await GraphqlSocket.open(server, device.token);
  const tryLogin = async () =>
    codeOf(await postOperation(server, await mintToken('new'), LOGIN, { input: { platform: 'WEB' } }));
  expect(await tryLogin()).toBeNull();
  server.signal('SIGUSR2');
  await retryUntilPasses(async () => expect(await tryLogin()).toBe('OVERLOADED'), 10_000);
  expect(await sendHeartbeat(server, device)).toMatchObject({ status: 'ONLINE' });
  await socket.executeForData('mutation { heartbeat { heartbeatIntervalMs } }');
  expect(await fetchUser(server, 'new')).toMatchObject({ status: 'ONLINE' });
  server.signal('SIGUSR2');
  await retryUntilPasses(async () => expect(await tryLogin()).toBeNull(), 10_000);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

const openFiles = (server: PorchlightProcess): number => readdirSync(`/proc/${server.pid}/fd`).length;
const limitOpenFiles = (server: PorchlightProcess, files: number): void =>
  void execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${files}:`]);
/** The CPU time of the process in clock ticks, 100 per second. */
const cpuTicks = (server: PorchlightProcess): number => {
  const stat = execFileSync('cat', [`/proc/${server.pid}/stat`], { encoding: 'utf8' });
  const [user = 0, system = 0] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  return user + system;
};

test(
  'without free file descriptors new sockets fail, existing sockets are served, and changes are stored',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight();
    const device = await logIn(server, 'connected', 'IPHONE');
    const connected = await GraphqlSocket.open(server, device.token);
    limitOpenFiles(server, openFiles(server) + 5);
    const attempts = await Promise.allSettled(
      Array.from({ length: 40 }, async () =>
        withTimeout(GraphqlSocket.open(server, device.token), 3_000, () => 'No answer.'),
      ),
    );
    expect(attempts.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(30);
    // The server uses little CPU while it cannot accept connections.
    const before = cpuTicks(server);
    await delay(1_000);
    expect(cpuTicks(server) - before).toBeLessThan(60);
    // Changes are stored and delivered to existing watchers.
    const results = connected.subscribe<{ statusChanges: { customStatus: string | null }[] }>(
      'subscription { statusChanges(userIds: ["connected"]) { customStatus } }',
    );
    await results.next();
    await connected.executeForData(
      'mutation { setCustomStatus(input: {text: "still here"}) { userStatus { customStatus } } }',
    );
    expect(await results.next()).toMatchObject({ data: { statusChanges: [{ customStatus: 'still here' }] } });

    limitOpenFiles(server, 4_096);
    await retryUntilPasses(async () => {
      const socket = await GraphqlSocket.open(server, device.token);
      await socket.close();
    });
    expect(await fetchUser(server, 'connected')).toMatchObject({ status: 'ONLINE' });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);
