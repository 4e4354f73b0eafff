/** A complete server with the Tencent API enabled, and calls of a backend that uses this API. */
import { createTencentApi } from '../../../src/tencent/server-api.ts';
import { createUserSigVerifier } from '../../../src/tencent/user-tokens.ts';
import { ServerHarness, type ServerHarnessOptions } from '../../integration/server/support/server-harness.ts';
import { ADMIN, APP_ID, TENCENT, generateUserSig, type UserSigOptions } from './user-sigs.ts';

export const openTencentHarness = ({ settings, ...others }: ServerHarnessOptions = {}): Promise<ServerHarness> =>
  ServerHarness.open({
    ...others,
    settings: { userTokens: [createUserSigVerifier(TENCENT)], ...settings },
    externalApi: (porchlight) => createTencentApi(porchlight, TENCENT),
  });

export type Answer = Readonly<Record<string, unknown>>;
export type Params = Readonly<Record<string, string | undefined>>;

export interface CallOptions {
  /** Replace the defaults; undefined removes one. */
  readonly params?: Params;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** Issued at the time of the harness, which may differ from the wall clock. */
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

/** @returns the body of the response, whose HTTP status is always 200. */
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
