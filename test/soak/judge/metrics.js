// What Prometheus would read, held against the feed.

/** @typedef {import('../world.js').SoakWorld} World */

/** Labels are bounded, so is the page. */
const MAX_BYTES = 300_000;

export class Metrics {
  #world;
  /** Events of one start of the server, by reason. @type {Map<string, number>} */
  #reasons = new Map();
  #epoch = 0;

  /** @param {World} world @param {string} token that may read it */
  constructor(world, token) {
    this.#world = world;
    this.token = token;
  }

  /** Counts events of the feed. @param {readonly import('../../support/user-history.js').Event[]} events */
  countEvents(events) {
    const { server } = this.#world;
    for (const { occurredAt, reason } of events) {
      const { spawnedAt } = server.startAt(Date.parse(occurredAt)) ?? { spawnedAt: 0 };
      if (spawnedAt < this.#epoch) continue;
      if (spawnedAt > this.#epoch) this.#reasons.clear();
      this.#epoch = spawnedAt;
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
  }

  /** @returns {Promise<Map<string, number> | null>} by name and labels; null when there are none */
  async scrape() {
    const { http, journal } = this.#world;
    const { status, text } = await http.send('/metrics', { token: this.token });
    if (status === 404) {
      journal.count('not possible here: metrics');
      return null;
    }
    if (status !== 200) journal.violate('metrics', `${status} ${text.slice(0, 300)}`);
    if (text.length > MAX_BYTES) journal.violate('metrics', `${text.length} bytes: ${text.slice(0, 2_000)}`);
    if (/user-\d|Gerät|sub=/.test(text)) journal.violate('metrics', 'names a user or a device');
    journal.count('metrics scraped');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))];
      }),
    );
  }

  /** To be called when nothing changes any more. The server's counters must equal the events of the feed since its start. @returns the differences */
  async differences() {
    const found = await this.scrape();
    if (found === null) return [];
    /** @type {string[]} */
    const differing = [];
    /** @type {Map<string, number>} */
    const counted = new Map();
    for (const [name, value] of found) {
      const reason = /^porchlight_session_events_total\{.*reason="(\w+)"/.exec(name)?.[1];
      if (reason !== undefined) counted.set(reason, (counted.get(reason) ?? 0) + value);
    }
    for (const reason of new Set([...counted.keys(), ...this.#reasons.keys()])) {
      const [fed, reported] = [this.#reasons.get(reason) ?? 0, counted.get(reason) ?? 0];
      if (fed !== reported) differing.push(`${reason}: the feed has ${fed} since the start, /metrics has ${reported}`);
    }
    const users = { ONLINE: 0, PUSH_ONLINE: 0, OFFLINE: 0 };
    for (const { life } of this.#world.model.users.values()) users[/** @type {keyof typeof users} */ (life.status)]++;
    for (const status of /** @type {const} */ (['ONLINE', 'PUSH_ONLINE'])) {
      const said = found.get(`porchlight_users{status="${status}"}`);
      if (said !== undefined && said !== users[status])
        differing.push(`${users[status]} users ${status}, /metrics says ${said}`);
    }
    return differing;
  }
}
