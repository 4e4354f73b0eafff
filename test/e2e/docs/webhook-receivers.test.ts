/** What docs/webhooks.md tells receivers to do is what its examples do, and they tell a good request from a bad one. */
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isMissing } from '../../support/optional-tools.ts';

const DOCS = new URL('../../../docs/', import.meta.url);
const EXAMPLES = new URL('examples/webhooks/', DOCS);
const example = (name: string) => fileURLToPath(new URL(name, EXAMPLES));

const KEY = randomBytes(32);
const SECRET = `whsec_${KEY.toString('base64')}`;

/** By the text of the convention, not by a library: HMAC-SHA256 of id, time and body, with dots between. */
const signed = (body: string, { key = KEY, ageSeconds = 0, id = 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W' } = {}) => {
  const timestamp = String(Math.floor(Date.now() / 1_000) - ageSeconds);
  const signature = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
};

const eventOf = (changes: object) => ({ cursor: 'c1', userId: 'zoë', version: 1, status: 'ONLINE', ...changes });
const bodyOf = (...events: object[]) =>
  JSON.stringify({ type: 'presence.events', timestamp: '2026-01-01T00:00:00.000Z', data: { events } });

it('the page has every example as it is', () => {
  const page = readFileSync(new URL('webhooks.md', DOCS), 'utf8');
  const names = readdirSync(EXAMPLES);
  expect(names).toHaveLength(4);
  for (const name of names) {
    expect(page.includes(`\n${readFileSync(new URL(name, EXAMPLES), 'utf8')}\`\`\`\n`), name).toBe(true);
  }
});

describe('the receiver in Node', () => {
  const start = async () => {
    const receiver = spawn(process.execPath, [example('receiver.mjs')], {
      env: { ...process.env, WEBHOOK_SECRET: SECRET, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(receiver, 'exit');
    onTestFinished(async () => {
      receiver.kill('SIGKILL');
      await ended;
    });
    const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
    const said = async () => String((await lines.next()).value);
    const port = (await said()).replace('listening on ', '');
    const post = async (body: string, headers: Record<string, string>) => {
      const response = await fetch(`http://localhost:${port}/`, { method: 'POST', body, headers });
      return { status: response.status, text: await response.text() };
    };
    return { post, said };
  };

  it('takes what is signed, each event once, and refuses everything else', async () => {
    const { post, said } = await start();
    const login = eventOf({ reason: 'LOGIN', platform: 'WEB' });
    const logout = eventOf({ cursor: 'c2', version: 2, status: 'OFFLINE', reason: 'LOGOUT', platform: 'WEB' });
    const first = bodyOf(login);
    expect(await post(first, signed(first))).toEqual({ status: 204, text: '' });
    expect(await said()).toBe('zoë ONLINE (LOGIN, WEB)');

    expect((await post(first, signed(first, { key: randomBytes(32) }))).status).toBe(401);
    expect((await post(first, signed(first, { ageSeconds: 400 }))).status).toBe(401);
    expect((await post(bodyOf(logout), signed(first))).status).toBe(401);
    expect((await post(first, {})).status).toBe(401);

    // The event that came before says nothing more.
    const again = bodyOf(login, logout);
    expect((await post(again, signed(again, { id: 'msg_2' }))).status).toBe(204);
    expect(await said()).toBe('zoë OFFLINE (LOGOUT, WEB)');

    const test = '{"type":"webhook.test","timestamp":"2026-01-01T00:00:00.000Z","data":{}}';
    expect((await post(test, signed(test))).status).toBe(204);
  });

  it('takes either of two signatures, while a secret is being changed', async () => {
    const { post } = await start();
    const body = bodyOf();
    const present = signed(body);
    const other = signed(body, { key: randomBytes(24) })['webhook-signature'];
    for (const both of [`${present['webhook-signature']} ${other}`, `${other} ${present['webhook-signature']}`]) {
      expect((await post(body, { ...present, 'webhook-signature': both })).status).toBe(204);
    }
  });
});

// verify.go is run by hand when it is changed: Go's tool chain is larger than all else that the tests need.
describe.each([
  { name: 'verify.sh', tool: 'openssl', command: ['sh'], looksAtTime: false },
  { name: 'verify.py', tool: 'python3', command: ['python3'], looksAtTime: true },
] as const)('$name', ({ name, tool, command, looksAtTime }) => {
  it.skipIf(isMissing(tool, `the receiver of webhooks in ${name}`))(
    'tells what is signed with the secret from everything else',
    () => {
      const body = bodyOf(eventOf({}));
      const isGood = (headers: ReturnType<typeof signed>, sent = body) => {
        const { status } = spawnSync(command[0]!, [...command.slice(1), example(name)], {
          input: sent,
          env: {
            ...process.env,
            SECRET,
            ID: headers['webhook-id'],
            TIMESTAMP: headers['webhook-timestamp'],
            SIGNATURE: headers['webhook-signature'],
          },
          stdio: ['pipe', 'ignore', 'inherit'],
        });
        return status === 0;
      };
      const good = signed(body);
      const other = signed(body, { key: randomBytes(24) })['webhook-signature'];
      expect(isGood(good)).toBe(true);
      expect(isGood({ ...good, 'webhook-signature': `${other} ${good['webhook-signature']}` })).toBe(true);
      expect(isGood({ ...good, 'webhook-signature': other })).toBe(false);
      expect(isGood({ ...good, 'webhook-id': 'msg_other' })).toBe(false);
      expect(isGood(good, `${body} `)).toBe(false);
      expect(isGood(signed(body, { ageSeconds: 400 }))).toBe(!looksAtTime);
    },
  );
});
