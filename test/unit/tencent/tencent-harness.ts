/** A whole server on which the drop-in is on, and a backend that knows Tencent's server API alone. */
import { createTencentApi } from '../../../src/tencent/server-api.ts';
import { createUserSigVerifier } from '../../../src/tencent/user-tokens.ts';
import { ServerHarness, type ServerHarnessOptions } from '../../integration/server/support/server-harness.ts';
import { ADMIN, APP_ID, TENCENT, generateUserSig, type UserSigOptions } from './user-sigs.ts';

export const openTencentHarness = ({ settings, ...others }: ServerHarnessOptions = {}): Promise<ServerHarness> =>
  ServerHarness.open({
    ...others,
    settings: { userTokens: [createUserSigVerifier(TENCENT)], ...settings },
    foreign: (porchlight) => createTencentApi(porchlight, TENCENT),
  });

export type Answer = Readonly<Record<string, unknown>>;
export type Params = Readonly<Record<string, string | undefined>>;

export interface CallOptions {
  /** Replaced, or left out where undefined. */
  readonly params?: Params;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** Of the harness's time, which may not be the wall's. */
export const createUserSig = (harness: ServerHarness, user: string, made: UserSigOptions = {}): string =>
  generateUserSig(user, { at: harness.now, ...made });

export const createCallUrl = (harness: ServerHarness, path: string, params: Params = {}): string => {
  const all: Params = {
    sdkappid: String(APP_ID),
    identifier: ADMIN,
    usersig: params['usersig'] ?? createUserSig(harness, ADMIN),
    random: '99999999',
    contenttype: 'json',
    ...params,
  };
  const given = Object.entries(all).filter((each): each is [string, string] => each[1] !== undefined);
  return `${harness.url}${path}?${new URLSearchParams(given)}`;
};

export const sendCall = (
  harness: ServerHarness,
  path: string,
  body: string | Buffer<ArrayBuffer> | undefined,
  called: CallOptions = {},
): Promise<Response> =>
  fetch(createCallUrl(harness, path, called.params), {
    method: called.method ?? 'POST',
    ...(called.headers === undefined ? {} : { headers: called.headers }),
    ...(body === undefined ? {} : { body }),
  });

/** What is answered, which is HTTP 200 whatever it says. */
export const callApi = async (
  harness: ServerHarness,
  path: string,
  request: unknown,
  called: CallOptions = {},
): Promise<Answer> => {
  const response = await sendCall(harness, path, JSON.stringify(request), called);
  if (response.status !== 200) throw new Error(`HTTP ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answer;
};

export const QUERY = '/v4/openim/query_online_status';
export const OLDER_QUERY = '/v4/openim/querystate';
export const KICK = '/v4/im_open_login_svc/kick';

export const OK = { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0 };
