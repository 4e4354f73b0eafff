/** The part of Tencent IM's server API that is about online statuses. */
import type { ExternalApi, ExternalApiResponse, ExternalApiCall } from '../app/ports/external-api.ts';
import type { Application } from '../app/application.ts';
import { parseAccount } from './account.ts';
import { AdminAuthenticator, type AdminAuthSettings } from './admin-auth.ts';
import {
  TENCENT_ERROR_CODE,
  TencentError,
  createBadParameterError,
  createErrorResponse,
  createSuccessResponse,
} from './errors.ts';
import { parseJsonObject } from './json.ts';
import { queryOnlineStatus } from './online-status.ts';
import type { PlatformNameSetting } from './platforms.ts';

export interface TencentApiSettings extends AdminAuthSettings {
  readonly platformNames: PlatformNameSetting;
}

type RequestBody = Readonly<Record<string, unknown>>;

interface TencentEndpoint {
  readonly equivalentOperation: ExternalApiCall['equivalentOperation'];
  readonly execute: (request: RequestBody) => Promise<ExternalApiResponse>;
}

/** The part that needs no store, for requests that arrive while the server starts. */
export const tencentApiBase: Pick<ExternalApi, 'pathPrefix' | 'createErrorResponse'> = {
  pathPrefix: '/v4/',
  createErrorResponse,
};

export const createTencentApi = (application: Application, settings: TencentApiSettings): ExternalApi => {
  const { store } = application;
  const authenticator = new AdminAuthenticator(store, settings);
  const statusEndpoint: TencentEndpoint = {
    equivalentOperation: { kind: 'query', field: 'userStatuses' },
    execute: (request) => queryOnlineStatus(store, request, settings.platformNames),
  };
  const kickEndpoint: TencentEndpoint = {
    equivalentOperation: { kind: 'mutation', field: 'endSessions' },
    execute: (request) => kickUser(application, request),
  };
  const endpoints: ReadonlyMap<string, TencentEndpoint> = new Map([
    ['openim/query_online_status', statusEndpoint],
    ['openim/querystate', statusEndpoint],
    ['im_open_login_svc/kick', kickEndpoint],
  ]);
  return {
    ...tencentApiBase,
    isKnownCaller: ({ query }) => authenticator.isKnownUserSig(new URLSearchParams(query)),
    authorizeCall: async ({ method, path, query }) => {
      if (method !== 'POST') {
        throw new TencentError(TENCENT_ERROR_CODE.METHOD_NOT_POST, 'BAD_USER_INPUT', 'The method must be POST.');
      }
      const endpoint = endpoints.get(path.slice(tencentApiBase.pathPrefix.length));
      if (endpoint === undefined) {
        throw new TencentError(TENCENT_ERROR_CODE.UNKNOWN_PATH, 'BAD_USER_INPUT', 'This path does not exist.');
      }
      await authenticator.authenticateAdmin(new URLSearchParams(query));
      const { equivalentOperation, execute } = endpoint;
      return { equivalentOperation, execute: async (body) => execute(parseRequestBody(body)) };
    },
  };
};

/** Ends all sessions of a user and revokes the tokens issued until now. */
const kickUser = async ({ tracker, operatorLog }: Application, request: RequestBody): Promise<ExternalApiResponse> => {
  // Older documents and most libraries use the name Identifier.
  const account = request['UserID'] ?? request['Identifier'];
  if (typeof account !== 'string') throw createBadParameterError('UserID must be the name of an account.');
  const id = parseAccount(account);
  if (id === null) {
    throw new TencentError(TENCENT_ERROR_CODE.UNKNOWN_ACCOUNT, 'BAD_USER_INPUT', 'UserID is not a valid account.');
  }
  const { ended } = await tracker.endSessions(id, { platform: null, sessionId: null }, true);
  operatorLog.sessionsEnded({ userId: id, count: ended.length, revokedTokens: true });
  return createSuccessResponse();
};

const parseRequestBody = (body: string): RequestBody => {
  const request = parseJsonObject(body);
  if (request === null) throw createBadParameterError('The body must be a JSON object.');
  return request;
};
