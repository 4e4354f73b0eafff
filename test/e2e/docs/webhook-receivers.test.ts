/** The example receivers of docs/webhooks.md: the page contains them, and they accept valid requests only. */
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
const examplePath = (name: string) => fileURLToPath(new URL(name, EXAMPLES));

const KEY = randomBytes(32);
const SECRET = `whsec_${KEY.toString('base64')}`;

/** Signs by the text of Standard Webhooks, without its library: HMAC-SHA256 of id, time and body, joined by dots. */
const signRequest = (body: string, { key = KEY, ageSeconds = 0, id = 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W' } = {}) => {
  const timestamp = String(Math.floor(Date.now() / 1_000) - ageSeconds);
  const signature = `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature };
};

const createEvent = (changes: object) => ({ cursor: 'c1', userId: 'zoë', version: 1, status: 'ONLINE', ...changes });
const createBody = (...events: object[]) =>
  JSON.stringify({ type: 'presence.events', timestamp: '2026-01-01T00:00:00.000Z', data: { events } });

it('contains every example receiver in docs/webhooks.md without a difference', () => {
  const page = readFileSync(new URL('webhooks.md', DOCS), 'utf8');
  const names = readdirSync(EXAMPLES);
  expect(names).toHaveLength(4);
  for (const name of names) {
    expect(page.includes(`\n${readFileSync(new URL(name, EXAMPLES), 'utf8')}\`\`\`\n`), name).toBe(true);
  }
});

describe('the receiver in Node', () => {
  const start = async () => {
    const receiver = spawn(process.execPath, [examplePath('receiver.mjs')], {
      env: { ...process.env, WEBHOOK_SECRET: SECRET, PORT: '0' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(receiver, 'exit');
    onTestFinished(async () => {
      receiver.kill('SIGKILL');
      await ended;
    });
    const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]();
    const nextLine = async () => String((await lines.next()).value);
    const port = (await nextLine()).replace('listening on ', '');
    const post = async (body: string, headers: Record<string, string>) => {
      const response = await fetch(`http://localhost:${port}/`, { method: 'POST', body, headers });
      return { status: response.status, text: await response.text() };
    };
    return { post, nextLine };
  };

  it('accepts signed requests, handles each event once, and rejects all other requests', async () => {
    const { post, nextLine } = await start();
    const login = createEvent({ reason: 'LOGIN', platform: 'WEB' });
    const logout = createEvent({ cursor: 'c2', version: 2, status: 'OFFLINE', reason: 'LOGOUT', platform: 'WEB' });
    const first = createBody(login);
    expect(await post(first, signRequest(first))).toEqual({ status: 204, text: '' });
    expect(await nextLine()).toBe('zoë ONLINE (LOGIN, WEB)');

    expect((await post(first, signRequest(first, { key: randomBytes(32) }))).status).toBe(401);
    expect((await post(first, signRequest(first, { ageSeconds: 400 }))).status).toBe(401);
    expect((await post(createBody(logout), signRequest(first))).status).toBe(401);
    expect((await post(first, {})).status).toBe(401);

    // The event that arrived before is not printed again.
    const again = createBody(login, logout);
    expect((await post(again, signRequest(again, { id: 'msg_2' }))).status).toBe(204);
    expect(await nextLine()).toBe('zoë OFFLINE (LOGOUT, WEB)');

    const test = '{"type":"webhook.test","timestamp":"2026-01-01T00:00:00.000Z","data":{}}';
    expect((await post(test, signRequest(test))).status).toBe(204);
  });

  it('accepts either of two signatures during a change of the secret', async () => {
    const { post } = await start();
    const body = createBody();
    const present = signRequest(body);
    const other = signRequest(body, { key: randomBytes(24) })['webhook-signature'];
    for (const both of [`${present['webhook-signature']} ${other}`, `${other} ${present['webhook-signature']}`]) {
      expect((await post(body, { ...present, 'webhook-signature': both })).status).toBe(204);
    }
  });
});

// verify.go has no test: the Go tool chain is larger than all other programs that the tests need. Run it after a change.
describe.each([
  { name: 'verify.sh', tool: 'openssl', command: ['sh'], checksAge: false },
  { name: 'verify.py', tool: 'python3', command: ['python3'], checksAge: true },
] as const)('$name', ({ name, tool, command, checksAge }) => {
  it.skipIf(isMissing(tool, `the example receiver ${name}`))(
    'accepts only requests that are signed with the secret',
    () => {
      const body = createBody(createEvent({}));
      const isAccepted = (headers: ReturnType<typeof signRequest>, sent = body) => {
        const { status } = spawnSync(command[0], [...command.slice(1), examplePath(name)], {
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
      const valid = signRequest(body);
      const other = signRequest(body, { key: randomBytes(24) })['webhook-signature'];
      expect(isAccepted(valid)).toBe(true);
      expect(isAccepted({ ...valid, 'webhook-signature': `${other} ${valid['webhook-signature']}` })).toBe(true);
      expect(isAccepted({ ...valid, 'webhook-signature': other })).toBe(false);
      expect(isAccepted({ ...valid, 'webhook-id': 'msg_other' })).toBe(false);
      expect(isAccepted(valid, `${body} `)).toBe(false);
      expect(isAccepted(signRequest(body, { ageSeconds: 400 }))).toBe(!checksAge);
    },
  );
});
