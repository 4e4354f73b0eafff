/** Tencent IM's server API, as far as it is about statuses: which path is what. */
import type { ForeignApi, ForeignAnswer, ForeignCall } from '../app/ports/external-api.ts';
import type { Application } from '../app/application.ts';
import { Admission, type AdmissionSettings } from './admin-auth.ts';
import { CODE, TencentError, badParameter, failure } from './errors.ts';
import { jsonObject } from './json.ts';
import { kick } from './kick.ts';
import { onlineStatus } from './online-status.ts';
import type { PlatformNames } from './platforms.ts';

export interface TencentSettings extends AdmissionSettings {
  readonly platformNames: PlatformNames;
}

type Request = Readonly<Record<string, unknown>>;

interface Endpoint {
  readonly like: ForeignCall['like'];
  readonly answer: (request: Request) => Promise<ForeignAnswer>;
}

/** What can be told of it before there is a store. */
export const tencentFront: Pick<ForeignApi, 'prefix' | 'refusal'> = { prefix: '/v4/', refusal: failure };

export const tencentApi = ({ store, tracker }: Application, settings: TencentSettings): ForeignApi => {
  const admission = new Admission(store, settings);
  const asking: Endpoint = {
    like: { kind: 'query', field: 'userStatuses' },
    answer: (request) => onlineStatus(store, request, settings.platformNames),
  };
  const endpoints: ReadonlyMap<string, Endpoint> = new Map([
    ['openim/query_online_status', asking],
    ['openim/querystate', asking],
    [
      'im_open_login_svc/kick',
      { like: { kind: 'mutation', field: 'endSessions' }, answer: (request) => kick(tracker, request) },
    ],
  ]);
  return {
    ...tencentFront,
    knows: ({ query }) => admission.knows(new URLSearchParams(query)),
    call: async ({ method, path, query }) => {
      if (method !== 'POST') throw new TencentError(CODE.NO_POST, 'BAD_USER_INPUT', 'Only POST is served here.');
      const endpoint = endpoints.get(path.slice(tencentFront.prefix.length));
      if (endpoint === undefined) {
        throw new TencentError(CODE.NO_SUCH_PATH, 'BAD_USER_INPUT', 'There is nothing at this path.');
      }
      await admission.admit(new URLSearchParams(query));
      return { like: endpoint.like, answer: async (body) => endpoint.answer(requestOf(body)) };
    },
  };
};

const requestOf = (body: string): Request => {
  const request = jsonObject(body);
  if (request === null) throw badParameter('The body must be a JSON object.');
  return request;
};
