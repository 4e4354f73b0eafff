/** Who calls: the app's admin, with a UserSig of her own, or nobody who is let in. */
import { hash } from 'node:crypto';
import type { PresenceStore } from '../app/ports/presence-store.ts';
import { isRevoked } from '../app/auth/token-revocations.ts';
import { CODE, TencentError, badParameter, type ErrorCode } from './errors.ts';
import { readUserSig, type UserSigFlaw, type UserSigSettings } from './user-sig.ts';

export interface AdmissionSettings extends UserSigSettings {
  /** The account that may call. */
  readonly admin: string;
}

/** UserSigs of which it is remembered that they were let in: a backend uses one for hours, or a new one each time. */
const MAX_KNOWN = 100;

const TOLD: Readonly<Record<UserSigFlaw, readonly [ErrorCode, string]>> = {
  MALFORMED: [CODE.USER_SIG_MALFORMED, 'usersig is not a UserSig.'],
  OTHER_APP: [CODE.USER_SIG_OF_OTHER_APP, 'usersig is of another SDKAppID.'],
  UNSIGNED: [CODE.USER_SIG_UNSIGNED, 'usersig is not signed with the key of this server.'],
  EARLY: [CODE.USER_SIG_MALFORMED, 'usersig is of a time that is yet to come.'],
  EXPIRED: [CODE.USER_SIG_EXPIRED, 'usersig has expired.'],
};

export class Admission {
  readonly #store: PresenceStore;
  readonly #settings: AdmissionSettings;
  /** Digests, the one let in first first. */
  readonly #known = new Set<string>();

  constructor(store: PresenceStore, settings: AdmissionSettings) {
    this.#store = store;
    this.#settings = settings;
  }

  /** Was it let in with this UserSig lately? */
  knows(params: URLSearchParams): boolean {
    return this.#known.has(digest(params.get('usersig') ?? ''));
  }

  /** @throws TencentError for everybody but the admin. `random` tells nothing, and may be missing. */
  async admit(params: URLSearchParams): Promise<void> {
    const { appId, admin } = this.#settings;
    const given = params.get('sdkappid') ?? '';
    if (given === '') throw new TencentError(CODE.NO_APP_ID, 'BAD_USER_INPUT', 'sdkappid is missing.');
    if (given !== String(appId)) throw new TencentError(CODE.OTHER_APP_ID, 'BAD_USER_INPUT', 'sdkappid is not ours.');
    if ((params.get('contenttype') ?? 'json').toLowerCase() !== 'json') throw badParameter('contenttype must be json.');
    const identifier = params.get('identifier') ?? '';
    if (identifier === '') throw badParameter('identifier is missing.');
    const text = params.get('usersig') ?? '';
    try {
      await this.#verify(text, identifier);
    } catch (error) {
      // One that has expired, or was revoked, waits like any other.
      this.#known.delete(digest(text));
      throw error;
    }
    if (identifier !== admin)
      throw new TencentError(CODE.NOT_ADMIN, 'FORBIDDEN', 'Only the app’s admin may call this.');
    this.#remember(digest(text));
  }

  async #verify(text: string, identifier: string): Promise<void> {
    if (text === '') throw refused(CODE.USER_SIG_EMPTY, 'usersig is missing.');
    const sig = readUserSig(text, this.#settings, this.#store.now());
    if (typeof sig === 'string') throw refused(...TOLD[sig]);
    if (sig.userId !== identifier) throw refused(CODE.USER_SIG_OF_OTHER_USER, 'usersig is of another identifier.');
    const [user] = await this.#store.read([sig.userId]);
    if (isRevoked(sig.issuedAt, user?.tokensRevokedBefore ?? null)) {
      throw refused(CODE.USER_SIG_REVOKED, 'usersig has been revoked.');
    }
  }

  #remember(known: string): void {
    this.#known.add(known);
    if (this.#known.size <= MAX_KNOWN) return;
    const [first] = this.#known;
    if (first !== undefined) this.#known.delete(first);
  }
}

const refused = (code: ErrorCode, message: string): TencentError => new TencentError(code, 'UNAUTHENTICATED', message);

const digest = (text: string): string => hash('sha256', text, 'base64');
