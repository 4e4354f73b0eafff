/** Secrets of a server process: binary keys, files, pipes, and what is refused at the start. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ADMIN, APP_ID, generateUserSig } from '../../unit/tencent/user-sigs.ts';
import {
  CLI,
  type CommandResult,
  STACK_TRACE,
  startPorchlightCommand,
  startProgram,
} from '../../support/crash/cli-process.ts';
import { isMissing } from '../../support/optional-tools.ts';
import { GraphqlSocket, postOperation } from '../../support/porchlight-client.ts';
import { mintToken, type PorchlightProcess, startPorchlight } from '../../support/porchlight-process.ts';

const QUERY = '{ userStatus(userId: "alice") { status } }';
/** No part of it is UTF-8, and it starts with no byte order mark. */
const RAW_KEY = Buffer.from(Array.from({ length: 64 }, (_, index) => (index % 2 === 0 ? 0xf8 : 0x80 + index)));
/** What a lossy decoder makes of the key. */
const MANGLED_KEY = Buffer.from(RAW_KEY.toString('utf8'));
const BASE64_KEY = `base64:${RAW_KEY.toString('base64')}`;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'porchlight-secrets-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, content: string | Buffer): string => {
  const path = join(directory, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

const run = (argv: readonly string[], env: Readonly<Record<string, string>>): Promise<CommandResult> =>
  startPorchlightCommand(argv, directory, env).result;

/** Whether each transport accepts the credential. */
const acceptedBy = async (server: PorchlightProcess, credential: string): Promise<{ http: boolean; ws: boolean }> => {
  const overHttp = await postOperation(server, credential, QUERY);
  const socket = new GraphqlSocket(server);
  await socket.init(credential);
  const first = await Promise.race([socket.frames.next(), socket.closed]).catch(() => null);
  socket.ws.close();
  await socket.closed;
  return {
    http: overHttp.errors === undefined,
    ws: first !== null && 'type' in first && first.type === 'connection_ack',
  };
};

const ACCEPTED = { http: true, ws: true };
const REJECTED = { http: false, ws: false };

describe('a JWT secret of 64 bytes that are not UTF-8', () => {
  test('verifies tokens when its file has the form base64:, and no other key does', async () => {
    const env = { PORCHLIGHT_JWT_SECRET: undefined, PORCHLIGHT_JWT_SECRET_FILE: write('jwt', `${BASE64_KEY}\n`) };
    await using server = await startPorchlight({ env });
    expect(await acceptedBy(server, await mintToken('alice', { secret: RAW_KEY }))).toEqual(ACCEPTED);
    const wrong = [
      MANGLED_KEY,
      BASE64_KEY,
      RAW_KEY.toString('base64'),
      RAW_KEY.toString('latin1'),
      RAW_KEY.subarray(1),
    ];
    for (const secret of wrong)
      expect(await acceptedBy(server, await mintToken('alice', { secret }))).toEqual(REJECTED);
    const printed = await run(['token', '--user', 'alice'], { PORCHLIGHT_JWT_SECRET: BASE64_KEY });
    expect(printed).toMatchObject({ code: 0, err: '' });
    expect(await acceptedBy(server, printed.out.trim())).toEqual(ACCEPTED);
    for (const part of [BASE64_KEY.slice(7), RAW_KEY.toString('hex')]) expect(server.output()).not.toContain(part);
  });

  test.each(['serve', 'config', 'token --user alice'])(
    'makes %s exit with 78 when its file has the bytes',
    async (command) => {
      const path = write('jwt', RAW_KEY);
      const { code, out, err } = await run(command.split(' '), { PORCHLIGHT_JWT_SECRET_FILE: path });
      expect([code, out]).toEqual([78, '']);
      expect(err).toContain(
        `PORCHLIGHT_JWT_SECRET_FILE (${path}) is not UTF-8, but must be one line of UTF-8 text, or base64: and the padded Base64 of a binary key.`,
      );
      expect(err).not.toMatch(STACK_TRACE);
      expect(readdirSync(directory)).toEqual(['jwt']);
    },
  );

  test('makes the server exit with 78 when a variable has the bytes', async () => {
    const octal = [...RAW_KEY].map((byte) => `\\${byte.toString(8)}`).join('');
    const script = `PORCHLIGHT_JWT_SECRET="$(printf '${octal}')" exec "$@"`;
    const { result } = startProgram(['sh', '-c', script, 'sh', process.execPath, CLI, 'serve'], directory);
    const { code, err } = await result;
    expect(code).toBe(78);
    expect(err).toContain(
      'PORCHLIGHT_JWT_SECRET contains U+FFFD, which replaces bytes that are not UTF-8, but must be',
    );
  });

  test('makes the server exit with 78 when the generated file was replaced by the bytes', async () => {
    write('jwt-secret', RAW_KEY);
    const { code, err } = await run(['serve'], { PORCHLIGHT_DATABASE: 'porchlight.db' });
    expect(code).toBe(78);
    expect(err).toContain('jwt-secret is not UTF-8, but must be');
    expect(err).not.toMatch(STACK_TRACE);
  });
});

test('no secret of random bytes starts a server unless it is text', async () => {
  for (const variable of ['JWT_SECRET', 'API_KEYS', 'METRICS_TOKEN', 'TENCENT_KEY']) {
    const path = write(variable, Buffer.concat([randomBytes(63), Buffer.from([0xff])]));
    const { code, err } = await run(['config'], { [`PORCHLIGHT_${variable}_FILE`]: path });
    expect(code, variable).toBe(78);
    expect(err).toContain(`PORCHLIGHT_${variable}_FILE (${path}) is not UTF-8`);
  }
});

test('a binary Tencent key in a file verifies UserSigs of its bytes', async () => {
  await using server = await startPorchlight({
    env: {
      PORCHLIGHT_TENCENT: 'true',
      PORCHLIGHT_TENCENT_APP_ID: String(APP_ID),
      PORCHLIGHT_TENCENT_KEY_FILE: write('tencent', `${BASE64_KEY}\r\n`),
    },
  });
  const query = async (key: string | Buffer): Promise<unknown> => {
    const usersig = generateUserSig(ADMIN, { key });
    const params = { sdkappid: String(APP_ID), identifier: ADMIN, usersig, random: '7', contenttype: 'json' };
    const url = `${server.origin}/v4/openim/querystate?${new URLSearchParams(params)}`;
    const response = await fetch(url, { method: 'POST', body: JSON.stringify({ To_Account: ['alice'] }) });
    return ((await response.json()) as { ErrorCode: unknown }).ErrorCode;
  };
  expect(await query(RAW_KEY)).toBe(0);
  expect(await query(MANGLED_KEY)).toBe(70009);
  expect(await acceptedBy(server, generateUserSig('alice', { key: RAW_KEY }))).toEqual(ACCEPTED);
  expect(await acceptedBy(server, generateUserSig('alice', { key: MANGLED_KEY }))).toEqual(REJECTED);
});

test('a file with one API key a line gives access with each key, and with no line break', async () => {
  const keys = ['the-key-of-the-first-backend-0001', 'the-key-of-the-second-backend-0002'] as const;
  const env = {
    PORCHLIGHT_API_KEYS: undefined,
    PORCHLIGHT_API_KEYS_FILE: write('keys', `${keys[0]}\r\n\r\n${keys[1]}\r\n`),
  };
  await using server = await startPorchlight({ env });
  for (const key of keys) expect(await acceptedBy(server, key)).toEqual(ACCEPTED);
  expect(await acceptedBy(server, keys.join(','))).toEqual(REJECTED);
  expect(server.output()).not.toContain('warning');
});

test.skipIf(isMissing('openssl', 'the commands of docs/configuration.md'))(
  'the commands of docs/configuration.md write a key of random bytes that signs and verifies',
  async () => {
    const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
    const commands = /```sh\n([^`]*\/dev\/urandom[^`]*)```/.exec(page)?.[1] ?? '';
    expect(await startProgram(['sh', '-ec', commands], directory).result).toMatchObject({ code: 0, err: '' });
    const env = { PORCHLIGHT_JWT_SECRET: undefined, PORCHLIGHT_JWT_SECRET_FILE: join(directory, 'jwt-secret') };
    await using server = await startPorchlight({ env });
    const secret = readFileSync(join(directory, 'key.bin'));
    expect(secret).toHaveLength(64);
    expect(await acceptedBy(server, await mintToken('alice', { secret }))).toEqual(ACCEPTED);
    expect(server.output()).not.toContain('warning');
  },
);

test('the file of a secret may be a process substitution of a shell', async () => {
  const script = `PORCHLIGHT_JWT_SECRET_FILE=<(printf 'base64:%s\\n' "$KEY") exec "$@"`;
  const command = ['bash', '-c', script, 'bash', process.execPath, CLI, 'token', '--user', 'alice'];
  const { result } = startProgram(command, directory, { KEY: RAW_KEY.toString('base64') });
  const { code, out, err } = await result;
  expect([code, err]).toEqual([0, '']);
  await using server = await startPorchlight({ env: { PORCHLIGHT_JWT_SECRET: BASE64_KEY } });
  expect(await acceptedBy(server, out.trim())).toEqual(ACCEPTED);
});

test('a short JWT secret needs PORCHLIGHT_ALLOW_SHORT_KEYS, and then each start prints a warning', async () => {
  const secret = 's'.repeat(31);
  const refused = await run(['serve'], { PORCHLIGHT_JWT_SECRET: secret });
  expect(refused.code).toBe(78);
  expect(refused.err).toContain('PORCHLIGHT_JWT_SECRET is shorter than 32 bytes');
  expect(refused.err).not.toContain(secret);
  const env = { PORCHLIGHT_JWT_SECRET: secret, PORCHLIGHT_ALLOW_SHORT_KEYS: 'true' };
  await using server = await startPorchlight({ env });
  expect(server.output()).toContain('porchlight: warning: PORCHLIGHT_JWT_SECRET is shorter than 32 bytes');
  expect(await acceptedBy(server, await mintToken('alice', { secret }))).toEqual(ACCEPTED);
  expect(await run(['token', '--user', 'alice'], env)).toMatchObject({ code: 0 });
});

test('a backup, a doctor and an export need no secret, so they work beside an unusable one', async () => {
  await using server = await startPorchlight({ directory });
  const env = {
    PORCHLIGHT_DATABASE: 'porchlight.db',
    PORCHLIGHT_JWT_SECRET_FILE: '/nowhere/secret',
    PORCHLIGHT_API_KEYS: 'k',
  };
  for (const argv of [['backup', 'copy.db'], ['doctor'], ['export', '-']]) {
    expect(await run(argv, env), argv[0]).toMatchObject({ code: 0 });
  }
  expect((await run(['config'], env)).code).toBe(78);
  expect((await server.stop()).code).toBe(0);
});
