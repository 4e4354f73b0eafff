/** Every text argument of the schema, with characters that no text may have, over both transports. */
import { readFileSync } from 'node:fs';
import {
  buildSchema,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isRequiredArgument,
  isRequiredInputField,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputType,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { API_KEY, codeOf, ServerHarness } from './support/server-harness.ts';
import { expectStillServing } from './support/assert-still-serving.ts';
import { TestSocket } from './support/test-socket.ts';

const schema = buildSchema(readFileSync(new URL('../../../schema.graphql', import.meta.url), 'utf8'));
const TEXT_TYPES = ['String', 'ID', 'Cursor'];

type RootKind = 'query' | 'mutation' | 'subscription';

/** One text within the arguments of a root field: `input.userId` of `endSessions`. */
interface TextArgument {
  readonly kind: RootKind;
  readonly field: GraphQLField<unknown, unknown>;
  readonly path: readonly string[];
}

const findTexts = (type: GraphQLInputType, path: readonly string[], found: (path: readonly string[]) => void): void => {
  const named = getNamedType(type);
  if (TEXT_TYPES.includes(named.name)) found(path);
  if (!isInputObjectType(named)) return;
  for (const field of Object.values(named.getFields())) findTexts(field.type, [...path, field.name], found);
};

const TEXT_ARGUMENTS = (['query', 'mutation', 'subscription'] as const).flatMap((kind) => {
  const root = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  };
  return Object.values(root[kind]?.getFields() ?? {}).flatMap((field): TextArgument[] => {
    const found: TextArgument[] = [];
    for (const arg of field.args) findTexts(arg.type, [arg.name], (path) => found.push({ kind, field, path }));
    return found;
  });
});

const nameOf = ({ field, path }: TextArgument): string => `${field.name}(${path.join('.')})`;

/** Valid values of required texts. Other required texts are `x`. */
const VALID_TEXTS: Readonly<Record<string, string>> = {
  'createWebhook(input.url)': 'https://chat.example/hook',
  'updateWebhook(input.id)': 'webhook-1',
};

/** What the error says where the text has a form of its own. */
const OTHER_MESSAGES: Readonly<Record<string, RegExp>> = {
  'onlineUsers(after)': /^after must be an endCursor of this list\.$/,
  'createWebhook(input.secret)': /^secret must be whsec_/,
  'updateWebhook(input.secret)': /^secret must be whsec_/,
};

/** The value of an argument that is required, or that contains the examined text; undefined: it is omitted. */
const buildValue = (
  { field, path: examined }: TextArgument,
  input: GraphQLArgument | GraphQLInputField,
  path: readonly string[],
  text: string,
  isRequired: boolean,
): unknown => {
  const contains = path.every((name, index) => examined[index] === name);
  if (!contains && !isRequired) return undefined;
  const isExamined = contains && path.length === examined.length;
  const named = getNamedType(input.type);
  const wrap = (value: unknown): unknown => (isListType(getNullableType(input.type)) ? [value] : value);
  if (isInputObjectType(named)) {
    const entries = Object.values(named.getFields()).map((each) => [
      each.name,
      buildValue(
        { field, path: examined } as TextArgument,
        each,
        [...path, each.name],
        text,
        isRequiredInputField(each),
      ),
    ]);
    return wrap(Object.fromEntries(entries.filter(([, value]) => value !== undefined)));
  }
  if (isEnumType(named)) return wrap(named.getValues()[0]?.name);
  if (!TEXT_TYPES.includes(named.name)) throw new Error(`${path.join('.')} has the unexpected type ${named.name}.`);
  return wrap(isExamined ? text : (VALID_TEXTS[`${field.name}(${path.join('.')})`] ?? 'x'));
};

const buildOperation = (argument: TextArgument, text: string) => {
  const { kind, field } = argument;
  const args = field.args.flatMap((arg) => {
    const value = buildValue(argument, arg, [arg.name], text, isRequiredArgument(arg));
    return value === undefined ? [] : [{ arg, value }];
  });
  const variables = args.map(({ arg }) => `$${arg.name}: ${String(arg.type)}`).join(', ');
  const values = args.map(({ arg }) => `${arg.name}: $${arg.name}`).join(', ');
  const selection = isLeafType(getNamedType(field.type)) ? '' : ' { __typename }';
  return {
    query: `${kind} (${variables}) { ${field.name}(${values})${selection} }`,
    variables: Object.fromEntries(args.map(({ arg, value }) => [arg.name, value])),
  };
};

const FORBIDDEN = { 'U+0000': 'a\u0000b', 'a lone surrogate': 'a\ud800b', 'a C1 control character': 'a\u0085b' };

const openHarness = async () => {
  const harness = await ServerHarness.open();
  await harness.application.webhookService.createWebhook({ url: 'https://chat.example/hook' });
  const { token } = await harness.login('alice', 'IPHONE');
  const jwt = await harness.jwt('alice');
  const credentialFor = (field: string): string =>
    field === 'login' ? jwt : field === 'setCustomStatus' ? token : API_KEY;
  return { harness, credentialFor };
};

test('the schema has text arguments of every operation that this file examines', () => {
  const names = TEXT_ARGUMENTS.map(nameOf);
  for (const known of [
    'userStatuses(userIds)',
    'events(after)',
    'login(input.deviceId)',
    'login(input.appVersion)',
    'setCustomStatus(input.text)',
    'endSessions(input.sessionId)',
    'createWebhook(input.url)',
    'redeliver(input.deliveryId)',
    'statusChanges(userIds)',
    'presenceEvents(after)',
  ]) {
    expect(names).toContain(known);
  }
});

describe.each(Object.entries(FORBIDDEN))('%s', (_, text) => {
  test.each(TEXT_ARGUMENTS.map((argument) => [nameOf(argument), argument] as const))(
    'is rejected over both transports and changes nothing in %s',
    async (name, argument) => {
      const { harness, credentialFor } = await openHarness();
      const credential = credentialFor(argument.field.name);
      const { query, variables } = buildOperation(argument, text);
      const message = OTHER_MESSAGES[name] ?? / has a (control character|lone surrogate)/;

      const socket = await TestSocket.connect(harness.socketUrl, credential);
      const { type, payload } = await socket.execute(query, variables);
      const errors = (type === 'next' ? payload?.['errors'] : payload) as unknown as readonly object[];
      expect(errors).toMatchObject([
        { message: expect.stringMatching(message) as unknown, extensions: { code: 'BAD_USER_INPUT' } },
      ]);

      const accept = argument.kind === 'subscription' ? { accept: 'text/event-stream' } : {};
      const response = await fetch(`${harness.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${credential}`, ...accept },
        body: JSON.stringify({ query, variables }),
      });
      expect(await response.text()).toContain('"code":"BAD_USER_INPUT"');

      expect(await harness.reasons('alice')).toEqual(['LOGIN']);
      expect(await harness.application.webhookService.listWebhooks()).toMatchObject([
        { url: 'https://chat.example/hook', state: 'ACTIVE' },
      ]);
    },
  );
});

test('a literal of a document has the same rules as a variable, over both transports', async () => {
  const { harness, credentialFor } = await openHarness();
  const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
  const own = await TestSocket.connect(harness.socketUrl, credentialFor('setCustomStatus'));
  for (const [literal, code] of [
    ['"a\\u0000b"', 'BAD_USER_INPUT'],
    ['"a\\u{85}b"', 'BAD_USER_INPUT'],
    ['"""a\u0085b"""', 'BAD_USER_INPUT'],
    // The language has no lone surrogates.
    ['"a\\ud800b"', 'GRAPHQL_PARSE_FAILED'],
    ['"a\\u{d800}b"', 'GRAPHQL_PARSE_FAILED'],
  ] as const) {
    const read = `{ userStatus(userId: ${literal}) { version } }`;
    const write = `mutation { setCustomStatus(input: { text: ${literal} }) { userStatus { version } } }`;
    expect([literal, codeOf(await harness.post(read))]).toEqual([literal, code]);
    expect([literal, codeOf(await harness.post(write, credentialFor('setCustomStatus')))]).toEqual([literal, code]);
    for (const [client, query] of [
      [socket, read],
      [own, write],
    ] as const) {
      const { type, payload } = await client.execute(query);
      const [error] = (type === 'next' ? payload?.['errors'] : payload) as unknown as { extensions: object }[];
      expect([literal, error?.extensions]).toEqual([literal, { code }]);
    }
  }
  expect(await harness.reasons('alice')).toEqual(['LOGIN']);
});

test('names of operations, variables and members with such characters do no harm, over both transports', async () => {
  const harness = await ServerHarness.open();
  for (const text of Object.values(FORBIDDEN)) {
    const socket = await TestSocket.connect(harness.socketUrl, API_KEY);
    for (const body of [
      { query: '{ stats { sockets } }', operationName: text },
      { query: '{ stats { sockets } }', variables: { [text]: text } },
      { query: `query ($x: ID!) { userStatus(userId: $x) { version } }`, variables: { x: { [text]: text } } },
    ]) {
      const { status } = await harness.send(JSON.stringify(body), { authorization: `Bearer ${API_KEY}` });
      expect([200, 400]).toContain(status);
      socket.send({ type: 'subscribe', id: `${text}1`, payload: body });
      const { type, id } = await socket.nextMessage();
      expect(['next', 'error']).toContain(type);
      // A text that is not UTF-8 cannot be sent, so the lone surrogate arrives escaped or as U+FFFD.
      expect(id).toHaveLength(4);
      if (type === 'next') expect((await socket.nextMessage()).type).toBe('complete');
    }
    socket.webSocket.close();
    await socket.closed;
  }
  await expectStillServing(harness);
});
