/**
 * Where the credential of a socket is. GraphQL clients agree on no place: browsers can send it only in the payload of
 * `connection_init`, under several names, and other clients often send it only with the upgrade. A cookie never counts.
 */
import { unauthenticatedError } from '../../core/errors.ts';

export interface ConnectionCredential {
  /** As in an Authorization header: `Bearer …`. */
  readonly authorization: string;
  /** The place where the client sent it, for error messages. */
  readonly place: string;
}

/** The payload of `connection_init`. */
export type ConnectionPayload = Readonly<Record<string, unknown>>;

/** The place that the documentation names. */
export const DOCUMENTED_PLACE = 'payload.authorization';

const UPGRADE_PLACE = 'Authorization of the upgrade';
const BEARER_SCHEME = /^Bearer(?:\s|$)/i;
/** Stands for an Authorization header of an upgrade that has no `Bearer` credential. */
const OTHER_SCHEME = '';

/** Members of a payload that hold a token, with or without `Bearer`. */
const TOKEN_MEMBERS = ['authToken', 'token'] as const;

interface Candidate {
  readonly place: string;
  readonly value: unknown;
  /** True if the value may be a token without `Bearer`. */
  readonly mayLackScheme: boolean;
}

/**
 * Returns what a socket has to keep of the Authorization header of its upgrade until `connection_init`; null: nothing.
 * Browsers add the credentials of other schemes by themselves, for example `Basic`, so these are not kept.
 */
export const retainUpgradeAuthorization = (header: string | undefined): string | null => {
  if (header === undefined) return null;
  return BEARER_SCHEME.test(header) ? header : OTHER_SCHEME;
};

/**
 * Finds the credential. The payload comes before the upgrade, whose header a proxy may have added. In the payload the
 * order is `authorization`, `headers.authorization` (both in any case), `authToken`, `token`. The first one that is
 * neither null nor blank counts; others are ignored.
 * @param upgradeAuthorization as returned by `retainUpgradeAuthorization`.
 * @throws UNAUTHENTICATED with the place and the form of a credential, in at most 123 bytes.
 */
export const findCredential = (
  payload: ConnectionPayload | null | undefined,
  upgradeAuthorization: string | null,
): ConnectionCredential => {
  const candidate = payload == null ? null : findInPayload(payload);
  if (candidate !== null) return toCredential(candidate);
  if (upgradeAuthorization === null) throw MISSING;
  if (upgradeAuthorization === OTHER_SCHEME) throw OTHER_UPGRADE_SCHEME;
  return { authorization: upgradeAuthorization, place: UPGRADE_PLACE };
};

const findInPayload = (payload: ConnectionPayload): Candidate | null => {
  const { headers } = payload;
  return (
    findAuthorization(payload, 'payload') ??
    (isObject(headers) ? findAuthorization(headers, 'payload.headers') : null) ??
    findToken(payload)
  );
};

const findAuthorization = (members: ConnectionPayload, place: string): Candidate | null => {
  const isMatch = (name: string): boolean => name.toLowerCase() === 'authorization' && isPresent(members[name]);
  const name = isPresent(members['authorization']) ? 'authorization' : Object.keys(members).find(isMatch);
  return name === undefined ? null : { place: `${place}.${name}`, value: members[name], mayLackScheme: false };
};

const findToken = (payload: ConnectionPayload): Candidate | null => {
  const name = TOKEN_MEMBERS.find((each) => isPresent(payload[each]));
  return name === undefined ? null : { place: `payload.${name}`, value: payload[name], mayLackScheme: true };
};

const toCredential = ({ place, value, mayLackScheme }: Candidate): ConnectionCredential => {
  if (typeof value !== 'string') throw unauthenticatedError(`${place} must be text: "Bearer <token>"`);
  if (BEARER_SCHEME.test(value)) return { authorization: value, place };
  if (mayLackScheme) return { authorization: `Bearer ${value}`, place };
  throw unauthenticatedError(`${place} must be "Bearer <token>", with a JWT, a session token or an API key`);
};

/** Clients without a token often send null or an empty text. */
const isPresent = (value: unknown): boolean => value != null && (typeof value !== 'string' || value.trim() !== '');

const isObject = (value: unknown): value is ConnectionPayload => typeof value === 'object' && value !== null;

const MISSING = unauthenticatedError(
  'No credential: send {"authorization":"Bearer <token>"} as payload of connection_init, or the header with the upgrade',
);

const OTHER_UPGRADE_SCHEME = unauthenticatedError(
  `${UPGRADE_PLACE} must be "Bearer <token>", or send it as payload {"authorization":"Bearer <token>"}`,
);
