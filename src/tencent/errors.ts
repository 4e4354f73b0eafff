/** Error codes as Tencent's server API has them: the answer is HTTP 200 all the same, and says it in its body. */
import type { ForeignAnswer } from '../app/ports/external-api.ts';
import { DomainError, type Fault } from '../core/errors.ts';

export const CODE = {
  NO_POST: 60002,
  OTHER_APP_ID: 60006,
  TOO_FAST: 60007,
  TRY_AGAIN: 60008,
  NO_SUCH_PATH: 60009,
  NO_APP_ID: 60012,
  USER_SIG_EXPIRED: 70001,
  USER_SIG_EMPTY: 70002,
  USER_SIG_MALFORMED: 70003,
  USER_SIG_UNSIGNED: 70009,
  USER_SIG_OF_OTHER_USER: 70013,
  USER_SIG_OF_OTHER_APP: 70014,
  USER_SIG_REVOKED: 70052,
  NO_ACCOUNT: 70107,
  BAD_PARAMETER: 70402,
  NOT_ADMIN: 70403,
  INTERNAL: 70500,
} as const;

export type ErrorCode = (typeof CODE)[keyof typeof CODE];

/** A refusal for which they have a code of its own. */
export class TencentError extends DomainError {
  readonly errorCode: ErrorCode;

  constructor(errorCode: ErrorCode, code: 'UNAUTHENTICATED' | 'FORBIDDEN' | 'BAD_USER_INPUT', message: string) {
    super({ code }, message);
    this.name = 'TencentError';
    this.errorCode = errorCode;
  }
}

export const badParameter = (message: string): TencentError =>
  new TencentError(CODE.BAD_PARAMETER, 'BAD_USER_INPUT', message);

/** What the use cases, and the door, refuse with. */
const CODE_OF: Readonly<Partial<Record<Fault['code'], ErrorCode>>> = {
  UNAUTHENTICATED: CODE.USER_SIG_MALFORMED,
  FORBIDDEN: CODE.NOT_ADMIN,
  BAD_USER_INPUT: CODE.BAD_PARAMETER,
  TOO_MANY_USERS: CODE.BAD_PARAMETER,
  RATE_LIMITED: CODE.TOO_FAST,
  OVERLOADED: CODE.TRY_AGAIN,
};

/** @param fields after those that every answer has. */
export const success = (fields: object = {}): ForeignAnswer => ({
  status: 200,
  body: { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0, ...fields },
});

/** @param error null: a fault of ours. */
export const failure = (error: DomainError | null): ForeignAnswer => {
  const [info, code] = error === null ? ['Internal server error.', CODE.INTERNAL] : [error.message, codeOf(error)];
  return { status: 200, body: { ActionStatus: 'FAIL', ErrorInfo: info, ErrorCode: code } };
};

const codeOf = (error: DomainError): ErrorCode =>
  error instanceof TencentError ? error.errorCode : (CODE_OF[error.fault.code] ?? CODE.INTERNAL);
