/**
 * Counts what the server rejected or closed because of a limit, since it started. The field names are values of the
 * label `kind` of a metric.
 */
export class RejectionCounters {
  /** Upgrades rejected at the server's limit of open sockets. */
  socketsPerServer = 0;
  /** Upgrades rejected at an address's limit of open sockets, or of those without `connection_init`. */
  socketsPerAddress = 0;
  /** Sockets closed at a user's limit of open sockets. */
  socketsPerUser = 0;
  /** Sockets without `connection_init` that were closed in favour of new ones. */
  socketsEvicted = 0;
  /** Sockets closed because `connection_init` did not arrive in time. */
  socketsInitTimeout = 0;
  /** Messages on sockets rejected by a rate limit. */
  messageRate = 0;
  /** Sockets closed because their client ignored rate limits. */
  socketsRateLimited = 0;
  /** HTTP requests, including upgrades, rejected by a rate limit. */
  requestRate = 0;
  /** Messages that were too long or had too many fragments. */
  messageSize = 0;
  /** Operations rejected at the limit of a socket. */
  operationsPerSocket = 0;
  /** Subscriptions rejected at the limit of watched users of a socket. */
  watchedUsersPerSocket = 0;
  /** HTTP connections closed at the limit of the server or of an address. */
  connections = 0;
}
