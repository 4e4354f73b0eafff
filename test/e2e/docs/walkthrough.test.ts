/** The commands and the query of README, run as they are written. Only the port is changed. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startPorchlightCommand, type RunningCommand, startProgram } from '../../support/crash/cli-process.ts';
import { retryUntilPasses } from '../../support/crash/event-stream.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_CURL = isMissing('curl', 'the commands of README');

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
/** What the directory contains after `npm ci` and a build. */
const REPOSITORY = ['package.json', 'node_modules', 'dist', 'docs', 'drizzle', 'schema.graphql'];

/** The code blocks of one language in a text. */
const blocksOf = (language: string, text = ''): string[] =>
  [...text.matchAll(new RegExp(`^\\\`{3}${language}\\n([^]*?)^\\\`{3}$`, 'gm'))].map(([, block = '']) => block);

const [INTRODUCTION = '', ...SECTIONS] = README.split(/^## /m);
const sectionOf = (title: string): string | undefined => SECTIONS.find((text) => text.startsWith(`${title}\n`));

let directory: string;
const running: RunningCommand[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-walk-'));
  for (const name of REPOSITORY) symlinkSync(join(ROOT, name), join(directory, name));
});
afterEach(async () => {
  for (const { kill, result: ran } of running.splice(0)) {
    kill('SIGKILL');
    await ran;
  }
  rmSync(directory, { recursive: true, force: true });
});

const keep = (started: RunningCommand): RunningCommand => {
  running.push(started);
  return started;
};

/** The status changes that `curl` has printed. */
const receivedChanges = ({ getOutput: printedSoFar }: RunningCommand): unknown[] =>
  [...printedSoFar().matchAll(/^data: (\{.*\})$/gm)].flatMap(
    ([, json = '']) => (JSON.parse(json) as { data: { statusChanges: unknown[] } }).data.statusChanges,
  );

/** Starts a server in the temporary directory. `runInShell` runs a command of README against its port. */
const startServer = async () => {
  const server = keep(startPorchlightCommand(['serve'], directory, { PORCHLIGHT_PORT: '0' }));
  const [, port = ''] = await server.waitForOutput(/http:\/\/127\.0\.0\.1:(\d+)\/graphql \(GraphiQL/);
  const endpoint = `http://localhost:${port}/graphql`;
  const runInShell = (block: string): RunningCommand =>
    keep(
      startProgram(['sh', '-c', block.replaceAll('localhost:4000', `localhost:${port}`)], directory, {
        PORCHLIGHT_URL: endpoint,
      }),
    );
  return { server, endpoint, runInShell };
};

test('starts and tests with the two commands at the top of README', () => {
  const [commands = ''] = blocksOf('sh', INTRODUCTION);
  expect(commands).toBe('npm ci && npm start\nnpm ci && npm test\n');
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  // A build would disturb other tests that run now. The other tests of this file run what it starts.
  expect(scripts['start']).toMatch(/build && exec node dist\/cli\/cli\.js serve$/);
  expect(scripts['test']).toBe('vitest run');
});

test('answers the query of README as README says, while a phone is connected', async () => {
  const { server, endpoint, runInShell } = await startServer();
  const [, iphone = ''] = blocksOf('sh', sectionOf('Five minutes'));
  const phone = runInShell(iphone);
  await phone.waitForOutput(/connected/);
  const [query = ''] = blocksOf('graphql', INTRODUCTION);
  const [answer = ''] = blocksOf('json', INTRODUCTION);
  const apiKey = readFileSync(join(directory, 'data', 'api-key'), 'utf8').trim();
  await retryUntilPasses(async () => {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` },
      body: JSON.stringify({ query }),
    });
    expect(await response.json()).toEqual(JSON.parse(answer));
  }, 15_000);
  server.kill('SIGTERM');
  expect(await server.result).toMatchObject({ code: 0 });
});

test.skipIf(LACKS_CURL)('shows a login, two disconnects and a kick, by the commands of README', async () => {
  const [watch = '', iphone = '', android = '', ...more] = blocksOf('sh', sectionOf('Five minutes'));
  expect(more).toEqual([]);
  const { server, runInShell } = await startServer();
  const watcher = runInShell(watch);
  const expected: unknown[] = [];
  /** Waits until the watcher has received this change, directly after those before. */
  const expectChange = async (change: Readonly<Record<string, unknown>>): Promise<void> => {
    expected.push(change);
    await retryUntilPasses(() => expect(receivedChanges(watcher)).toEqual(expected), 15_000);
  };
  await expectChange({ status: 'OFFLINE', previousStatus: null, reason: null, platform: null, version: 0 });

  const phone = runInShell(iphone);
  await phone.waitForOutput(/logged in on IPHONE/);
  await phone.waitForOutput(/connected/);
  const login = { status: 'ONLINE', reason: 'LOGIN', platform: 'IPHONE' };
  const disconnect = { status: 'PUSH_ONLINE', previousStatus: 'ONLINE', reason: 'DISCONNECT', platform: 'IPHONE' };
  await expectChange({ ...login, previousStatus: 'OFFLINE', version: 1 });
  phone.kill('SIGKILL');
  await expectChange({ ...disconnect, version: 2 });

  const second = runInShell(iphone);
  await second.waitForOutput(/connected/);
  await expectChange({ ...login, previousStatus: 'PUSH_ONLINE', version: 3 });
  second.kill('SIGINT');
  await expectChange({ ...disconnect, version: 4 });

  const kicked = runInShell(iphone);
  await kicked.waitForOutput(/connected/);
  await expectChange({ ...login, previousStatus: 'PUSH_ONLINE', version: 5 });
  const other = runInShell(android);
  await other.waitForOutput(/logged in on ANDROID and kicked IPHONE/);
  await other.waitForOutput(/connected/);
  expect(await kicked.result).toMatchObject({ code: 0 });
  expect(kicked.getOutput()).toMatch(/the session has ended: KICKED ANDROID\n.*socket closed: 4410 KICKED/);

  // The watcher received nothing about the kick: the next change that it receives is the next disconnect.
  other.kill('SIGKILL');
  await expectChange({ ...disconnect, platform: 'ANDROID', version: 6 });
  server.kill('SIGTERM');
  expect(await server.result).toMatchObject({ code: 0 });
});
