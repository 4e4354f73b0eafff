/** Authenticates calls of the server API: only the app's admin may call it, with a UserSig of their own. */
import { hash } from 'node:crypto';
import type { PresenceStore } from '../app/ports/presence-store.ts';
import { findRevocationError } from '../app/auth/token-revocations.ts';
import { TENCENT_ERROR_CODE, TencentError, createBadParameterError, type TencentErrorCode } from './errors.ts';
import { verifyUserSig, type UserSigDefect, type UserSigSettings } from './user-sig.ts';

export interface AdminAuthSettings extends UserSigSettings {
  /** The account that may call the API. */
  readonly admin: string;
}

/** Backends use one UserSig for hours, or a new one for each call. */
const MAX_REMEMBERED_USER_SIGS = 100;

const ERROR_BY_DEFECT: Readonly<Record<UserSigDefect, readonly [TencentErrorCode, message: string]>> = {
  MALFORMED: [TENCENT_ERROR_CODE.USER_SIG_MALFORMED, 'usersig is not a UserSig.'],
  WRONG_APP: [TENCENT_ERROR_CODE.USER_SIG_WRONG_APP, 'usersig belongs to another SDKAppID.'],
  BAD_SIGNATURE: [TENCENT_ERROR_CODE.USER_SIG_BAD_SIGNATURE, 'usersig is not signed with the key of this server.'],
  ISSUED_IN_FUTURE: [TENCENT_ERROR_CODE.USER_SIG_MALFORMED, 'usersig was issued in the future.'],
  EXPIRED: [TENCENT_ERROR_CODE.USER_SIG_EXPIRED, 'usersig has expired.'],
};

export class AdminAuthenticator {
  readonly #store: PresenceStore;
  readonly #settings: AdminAuthSettings;
  /** Digests of accepted UserSigs, the oldest first. */
  readonly #acceptedDigests = new Set<string>();

  constructor(store: PresenceStore, settings: AdminAuthSettings) {
    this.#store = store;
    this.#settings = settings;
  }

  /** Was a call with this UserSig accepted before? Cheap: verifies nothing. */
  isKnownUserSig(params: URLSearchParams): boolean {
    return this.#acceptedDigests.has(digestOf(params.get('usersig') ?? ''));
  }

  /** Checks the parameters of the URL. `random` is ignored. @throws TencentError unless the admin calls. */
  async authenticateAdmin(params: URLSearchParams): Promise<void> {
    this.#checkAppId(params.get('sdkappid') ?? '');
    if ((params.get('contenttype') ?? 'json').toLowerCase() !== 'json') {
      throw createBadParameterError('contenttype must be json.');
    }
    const identifier = params.get('identifier') ?? '';
    if (identifier === '') throw createBadParameterError('identifier is missing.');
    const userSig = params.get('usersig') ?? '';
    try {
      await this.#checkUserSig(userSig, identifier);
    } catch (error) {
      // An expired or revoked UserSig loses the priority of a known caller.
      this.#acceptedDigests.delete(digestOf(userSig));
      throw error;
    }
    if (identifier !== this.#settings.admin) {
      throw new TencentError(TENCENT_ERROR_CODE.NOT_ADMIN, 'FORBIDDEN', 'Only the app’s admin may call this API.');
    }
    this.#rememberDigest(digestOf(userSig));
  }

  #checkAppId(appId: string): void {
    if (appId === '') {
      throw new TencentError(TENCENT_ERROR_CODE.MISSING_APP_ID, 'BAD_USER_INPUT', 'sdkappid is missing.');
    }
    if (appId !== String(this.#settings.appId)) {
      const message = 'sdkappid is not the SDKAppID of this server.';
      throw new TencentError(TENCENT_ERROR_CODE.WRONG_APP_ID, 'BAD_USER_INPUT', message);
    }
  }

  async #checkUserSig(text: string, identifier: string): Promise<void> {
    if (text === '') throw createUserSigError(TENCENT_ERROR_CODE.USER_SIG_MISSING, 'usersig is missing.');
    const userSig = verifyUserSig(text, this.#settings, this.#store.now());
    if (typeof userSig === 'string') throw createUserSigError(...ERROR_BY_DEFECT[userSig]);
    if (userSig.userId !== identifier) {
      throw createUserSigError(TENCENT_ERROR_CODE.USER_SIG_WRONG_USER, 'usersig belongs to another identifier.');
    }
    const [user] = await this.#store.readUsers([userSig.userId]);
    if (findRevocationError(userSig, user?.tokensRevokedBefore ?? null) !== null) {
      throw createUserSigError(TENCENT_ERROR_CODE.USER_SIG_REVOKED, 'usersig has been revoked.');
    }
  }

  #rememberDigest(digest: string): void {
    this.#acceptedDigests.add(digest);
    if (this.#acceptedDigests.size <= MAX_REMEMBERED_USER_SIGS) return;
    const [oldest] = this.#acceptedDigests;
    if (oldest !== undefined) this.#acceptedDigests.delete(oldest);
  }
}

const createUserSigError = (code: TencentErrorCode, message: string): TencentError =>
  new TencentError(code, 'UNAUTHENTICATED', message);

const digestOf = (text: string): string => hash('sha256', text, 'base64');
