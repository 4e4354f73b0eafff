/** Faults of the process itself: what nobody caught, and descriptors that run out. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../../support/crash/crash-stream.ts';
import { codeOf, gql, Socket } from '../../support/porchlight-client.ts';
import { mintToken, startPorchlight, type PorchlightProcess, within } from '../../support/porchlight-process.ts';
import { beat, logIn, LOGIN, userSeen } from '../support/users.ts';
import { pause } from '../support/stopwatch.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-fault-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const FAULTS = {
  'a rejection that nobody handles': "void Promise.reject(new Error('nobody expects this'))",
  'an exception that nobody catches': "setImmediate(() => { throw new Error('nobody expects this') })",
  'a rejection with what is no error': "void Promise.reject('nobody expects this')",
};

describe.each(Object.entries(FAULTS))('%s', (_name, fault) => {
  test('is logged as fatal with its stack, ends the server with 1, and loses nothing', async () => {
    // Brought in from outside: nothing that ships has a way to break it.
    const hook = join(directory, 'hook.mjs');
    writeFileSync(hook, `process.on('SIGUSR2', () => { ${fault}; });`);
    const env = { NODE_OPTIONS: `--import ${pathToFileURL(hook).href}` };
    await using before = await startPorchlight({ env });
    const device = await logIn(before, 'alice', 'IPHONE');
    const socket = await Socket.open(before, device.token);
    const { lastSeenAt } = await beat(before, device);
    before.signal('SIGUSR2');
    expect(await within(before.exited, 15_000, before.output)).toEqual({ code: 1, signal: null });
    expect(await socket.closed).toMatchObject({ code: 1012 });
    const said = before
      .output()
      .split('\n')
      .filter((line) => line.includes('"level":60'));
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/nobody expects this/);
    if (!fault.includes("reject('")) expect(said[0]).toMatch(/hook\.mjs:1/);

    await using after = await startPorchlight({ directory: before.directory });
    const seen = await userSeen(after, 'alice');
    expect(seen).toMatchObject({ status: 'ONLINE', version: 1 });
    // What was in memory alone was written on the way out.
    expect(Date.parse(seen.lastSeenAt ?? '')).toBeGreaterThanOrEqual(Date.parse(lastSeenAt));
  });
});

test('a heap that is nearly full: newcomers are OVERLOADED, who is there beats on, and all is well when there is room', async () => {
  // Ballast of arrays, for typed ones are not in the heap; and gone again with the second signal.
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
       // V8 also gives up where collecting again and again finds nothing, so it is not asked to.
       if (!filled) for (let mib = used() >> 20; mib < 178; mib++) ballast.push(Array(131_072).fill(0));
     });`,
  );
  const env = { NODE_OPTIONS: `--max-old-space-size=192 --expose-gc --import ${pathToFileURL(hook).href}` };
  await using server = await startPorchlight({ env });
  const device = await logIn(server, 'inside', 'IPHONE');
  const socket = await Socket.open(server, device.token);
  const knock = async () => codeOf(await gql(server, await mintToken('new'), LOGIN, { input: { platform: 'WEB' } }));
  expect(await knock()).toBeNull();
  server.signal('SIGUSR2');
  await eventually(async () => expect(await knock()).toBe('OVERLOADED'), 10_000);
  expect(await beat(server, device)).toMatchObject({ status: 'ONLINE' });
  await socket.ask('mutation { heartbeat { heartbeatIntervalMs } }');
  expect(await userSeen(server, 'new')).toMatchObject({ status: 'ONLINE' });
  server.signal('SIGUSR2');
  await eventually(async () => expect(await knock()).toBeNull(), 10_000);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

const openFiles = (server: PorchlightProcess): number => readdirSync(`/proc/${server.pid}/fd`).length;
const mayOpen = (server: PorchlightProcess, files: number): void =>
  void execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${files}:`]);
/** Of one process, in ticks of the system, a hundred a second. */
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
  'out of file descriptors: new sockets find no room, all others are served, and the file is',
  { timeout: 60_000 },
  async () => {
    await using server = await startPorchlight();
    const device = await logIn(server, 'inside', 'IPHONE');
    const inside = await Socket.open(server, device.token);
    mayOpen(server, openFiles(server) + 5);
    const outside = await Promise.allSettled(
      Array.from({ length: 40 }, async () => within(Socket.open(server, device.token), 3_000, () => 'No answer.')),
    );
    expect(outside.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(30);
    // Nobody spins while nothing can be accepted.
    const before = cpuTicks(server);
    await pause(1_000);
    expect(cpuTicks(server) - before).toBeLessThan(60);
    // Changes go to the disk, and news of them to whoever is there.
    const news = inside.subscribe<{ statusChanges: { customStatus: string | null }[] }>(
      'subscription { statusChanges(userIds: ["inside"]) { customStatus } }',
    );
    await news.next();
    await inside.ask('mutation { setCustomStatus(input: {text: "still here"}) { userStatus { customStatus } } }');
    expect(await news.next()).toMatchObject({ data: { statusChanges: [{ customStatus: 'still here' }] } });

    mayOpen(server, 4_096);
    await eventually(async () => {
      const socket = await Socket.open(server, device.token);
      await socket.close();
    });
    expect(await userSeen(server, 'inside')).toMatchObject({ status: 'ONLINE' });
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  },
);
