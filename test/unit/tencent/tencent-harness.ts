/** A whole server on which the drop-in is on, and a backend that knows Tencent's server API alone. */
import { createTencentApi } from '../../../src/tencent/server-api.ts';
import { createUserSigVerifier } from '../../../src/tencent/user-tokens.ts';
import { ServerHarness, type ServerHarnessOptions } from '../../integration/server/support/server-harness.ts';
import { ADMIN, APP_ID, TENCENT, userSig, type Made } from './user-sigs.ts';

export const openTencent = ({ settings, ...others }: ServerHarnessOptions = {}): Promise<ServerHarness> =>
  ServerHarness.open({
    ...others,
    settings: { userTokens: [createUserSigVerifier(TENCENT)], ...settings },
    foreign: (porchlight) => createTencentApi(porchlight, TENCENT),
  });

export type Answer = Readonly<Record<string, unknown>>;
export type Params = Readonly<Record<string, string | undefined>>;

export interface Called {
  /** Replaced, or left out where undefined. */
  readonly params?: Params;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** Of the harness's time, which may not be the wall's. */
export const sigOf = (harness: ServerHarness, user: string, made: Made = {}): string =>
  userSig(user, { at: harness.now, ...made });

export const urlOf = (harness: ServerHarness, path: string, params: Params = {}): string => {
  const all: Params = {
    sdkappid: String(APP_ID),
    identifier: ADMIN,
    usersig: params['usersig'] ?? sigOf(harness, ADMIN),
    random: '99999999',
    contenttype: 'json',
    ...params,
  };
  const given = Object.entries(all).filter((each): each is [string, string] => each[1] !== undefined);
  return `${harness.url}${path}?${new URLSearchParams(given)}`;
};

export const send = (
  harness: ServerHarness,
  path: string,
  body: string | Buffer<ArrayBuffer> | undefined,
  called: Called = {},
): Promise<Response> =>
  fetch(urlOf(harness, path, called.params), {
    method: called.method ?? 'POST',
    ...(called.headers === undefined ? {} : { headers: called.headers }),
    ...(body === undefined ? {} : { body }),
  });

/** What is answered, which is HTTP 200 whatever it says. */
export const call = async (
  harness: ServerHarness,
  path: string,
  request: unknown,
  called: Called = {},
): Promise<Answer> => {
  const response = await send(harness, path, JSON.stringify(request), called);
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
};

export const QUERY = '/v4/openim/query_online_status';
export const OLD_QUERY = '/v4/openim/querystate';
export const KICK = '/v4/im_open_login_svc/kick';

export const OK = { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 };
