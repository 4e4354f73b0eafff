/** README's five minutes, walked as they are written: only the port is another one. */
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { porchlight, type Running, start } from '../../support/crash/crash-command.ts';
import { eventually } from '../../support/crash/crash-stream.ts';
import { isMissing } from '../../support/optional-tools.ts';

const LACKS_CURL = isMissing('curl', 'the walk through README, by its own commands');

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');
/** What is there after `npm ci` and a build. */
const REPOSITORY = ['package.json', 'node_modules', 'dist', 'docs', 'drizzle', 'schema.graphql'];

/** The blocks of shell in a chapter of README. */
const blocksOf = (chapter: string): string[] => {
  const text = README.split(/^## /m).find((part) => part.startsWith(`${chapter}\n`));
  return [...(text ?? '').matchAll(/^```sh\n([^]*?)^```$/gm)].map(([, block = '']) => block);
};

let directory: string;
const running: Running[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-walk-'));
  for (const name of REPOSITORY) symlinkSync(join(ROOT, name), join(directory, name));
});
afterEach(async () => {
  for (const { kill, ran } of running.splice(0)) {
    kill('SIGKILL');
    await ran;
  }
  rmSync(directory, { recursive: true, force: true });
});

const keep = (started: Running): Running => {
  running.push(started);
  return started;
};

/** What `curl` has printed: one object for each message. */
const heard = ({ printedSoFar }: Running): unknown[] =>
  [...printedSoFar().matchAll(/^data: (\{.*\})$/gm)].flatMap(
    ([, json = '']) => (JSON.parse(json) as { data: { statusChanges: unknown[] } }).data.statusChanges,
  );

test.skipIf(LACKS_CURL)('a stranger sees alice come, lose her link, and be kicked', async () => {
  const [watch = '', iphone = '', android = '', ...more] = blocksOf('Five minutes');
  expect(more).toEqual([]);
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  // A build in the middle of other tests is no good idea; what it starts is.
  expect(scripts['start']).toMatch(/build && exec node dist\/cli\.js serve$/);
  const server = keep(porchlight(['serve'], directory, { PORCHLIGHT_PORT: '0' }));
  const [, port = ''] = await server.printed(/http:\/\/127\.0\.0\.1:(\d+)\/graphql \(GraphiQL/);
  const shell = (block: string): Running =>
    keep(
      start(['sh', '-c', block.replaceAll('localhost:4000', `localhost:${port}`)], directory, {
        PORCHLIGHT_URL: `http://localhost:${port}/graphql`,
      }),
    );

  const watcher = shell(watch);
  const told: unknown[] = [];
  /** Exactly this, and nothing else before it. */
  const hears = async (change: Readonly<Record<string, unknown>>): Promise<void> => {
    told.push(change);
    await eventually(() => expect(heard(watcher)).toEqual(told), 15_000);
  };
  const never = { status: 'OFFLINE', previousStatus: null, reason: null, platform: null, version: 0 };
  await hears(never);

  const phone = shell(iphone);
  await phone.printed(/logged in on IPHONE/);
  await phone.printed(/connected/);
  const login = { status: 'ONLINE', reason: 'LOGIN', platform: 'IPHONE' };
  const cut = { status: 'PUSH_ONLINE', previousStatus: 'ONLINE', reason: 'DISCONNECT', platform: 'IPHONE' };
  await hears({ ...login, previousStatus: 'OFFLINE', version: 1 });
  phone.kill('SIGKILL');
  await hears({ ...cut, version: 2 });

  const again = shell(iphone);
  await again.printed(/connected/);
  await hears({ ...login, previousStatus: 'PUSH_ONLINE', version: 3 });
  again.kill('SIGINT');
  await hears({ ...cut, version: 4 });

  const last = shell(iphone);
  await last.printed(/connected/);
  await hears({ ...login, previousStatus: 'PUSH_ONLINE', version: 5 });
  const elsewhere = shell(android);
  await elsewhere.printed(/logged in on ANDROID and kicked IPHONE/);
  await elsewhere.printed(/connected/);
  expect(await last.ran).toMatchObject({ code: 0 });
  expect(last.printedSoFar()).toMatch(/my session has ended: KICKED ANDROID\n.*socket closed: 4410 KICKED/);

  // The next thing that the watcher hears is the next thing that happens to alice: of the kick she heard nothing.
  elsewhere.kill('SIGKILL');
  await hears({ ...cut, platform: 'ANDROID', version: 6 });
  server.kill('SIGTERM');
  expect(await server.ran).toMatchObject({ code: 0 });
});
