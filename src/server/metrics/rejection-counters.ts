/** What was refused at the door since the start, counted by why. */
export class RejectionCounters {
  /** Upgrades: there are as many sockets as there may be in all. */
  socketsPerServer = 0;
  /** Upgrades: as many from that address, or as many that have not said who they are. */
  socketsPerAddress = 0;
  /** Sockets: that user has as many as she may. */
  socketsPerUser = 0;
  /** Sockets that had not said who they are, and gave way to newcomers. */
  socketsEvicted = 0;
  /** Sockets without `connection_init` in time. */
  socketsInitTimeout = 0;
  /** Messages on sockets, faster than allowed. */
  messageRate = 0;
  /** Sockets closed because their messages went on all the same. */
  socketsRateLimited = 0;
  /** Requests over HTTP, upgrades among them, faster than allowed. */
  requestRate = 0;
  /** Messages that were too long, or came in too many pieces. */
  messageSize = 0;
  /** Operations: too many are under way on their socket. */
  operationsPerSocket = 0;
  /** Subscriptions: too many users are watched over their socket. */
  watchedUsersPerSocket = 0;
  /** Connections that are no sockets: too many in all, or from their address. */
  connections = 0;
}
