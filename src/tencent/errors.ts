/** Errors of Tencent's server API. Every response has HTTP status 200; its body contains the error code. */
import type { ExternalApiResponse } from '../app/ports/external-api.ts';
import { DomainError, type ErrorDetails } from '../core/errors.ts';

export const TENCENT_ERROR_CODE = {
  METHOD_NOT_POST: 60002,
  WRONG_APP_ID: 60006,
  RATE_LIMITED: 60007,
  OVERLOADED: 60008,
  UNKNOWN_PATH: 60009,
  MISSING_APP_ID: 60012,
  USER_SIG_EXPIRED: 70001,
  USER_SIG_MISSING: 70002,
  USER_SIG_MALFORMED: 70003,
  USER_SIG_BAD_SIGNATURE: 70009,
  USER_SIG_WRONG_USER: 70013,
  USER_SIG_WRONG_APP: 70014,
  USER_SIG_REVOKED: 70052,
  UNKNOWN_ACCOUNT: 70107,
  BAD_PARAMETER: 70402,
  NOT_ADMIN: 70403,
  INTERNAL: 70500,
} as const;

export type TencentErrorCode = (typeof TENCENT_ERROR_CODE)[keyof typeof TENCENT_ERROR_CODE];

/** An error that has a more precise code in Tencent's API than in ours. */
export class TencentError extends DomainError {
  readonly tencentCode: TencentErrorCode;

  constructor(
    tencentCode: TencentErrorCode,
    code: 'UNAUTHENTICATED' | 'FORBIDDEN' | 'BAD_USER_INPUT',
    message: string,
  ) {
    super({ code }, message);
    this.name = 'TencentError';
    this.tencentCode = tencentCode;
  }
}

export const createBadParameterError = (message: string): TencentError =>
  new TencentError(TENCENT_ERROR_CODE.BAD_PARAMETER, 'BAD_USER_INPUT', message);

/** For errors of the use cases and of the HTTP server. */
const TENCENT_CODE_BY_CODE: Readonly<Partial<Record<ErrorDetails['code'], TencentErrorCode>>> = {
  UNAUTHENTICATED: TENCENT_ERROR_CODE.USER_SIG_MALFORMED,
  FORBIDDEN: TENCENT_ERROR_CODE.NOT_ADMIN,
  BAD_USER_INPUT: TENCENT_ERROR_CODE.BAD_PARAMETER,
  TOO_MANY_USERS: TENCENT_ERROR_CODE.BAD_PARAMETER,
  RATE_LIMITED: TENCENT_ERROR_CODE.RATE_LIMITED,
  OVERLOADED: TENCENT_ERROR_CODE.OVERLOADED,
};

/** @param fields added after the fields that every response has. */
export const createSuccessResponse = (fields: object = {}): ExternalApiResponse => ({
  status: 200,
  body: { ActionStatus: 'OK', ErrorInfo: '', ErrorCode: 0, ...fields },
});

/** @param error null: an internal error, whose details are not shown. */
export const createErrorResponse = (error: DomainError | null): ExternalApiResponse => {
  const message = error === null ? 'Internal server error.' : error.message;
  const code = error === null ? TENCENT_ERROR_CODE.INTERNAL : toTencentErrorCode(error);
  return { status: 200, body: { ActionStatus: 'FAIL', ErrorInfo: message, ErrorCode: code } };
};

const toTencentErrorCode = (error: DomainError): TencentErrorCode =>
  error instanceof TencentError
    ? error.tencentCode
    : (TENCENT_CODE_BY_CODE[error.details.code] ?? TENCENT_ERROR_CODE.INTERNAL);
