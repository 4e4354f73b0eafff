/** What the test knows about one page: what the page reports, and at the end what the server has recorded. */
import type { HeartbeatKind } from './page-scripts.ts';

/** A call of the function `report` by a page. */
export interface PageReport {
  readonly kind: string;
  readonly page: string;
  /** performance.now() of the page. */
  readonly at: number;
  /** `document.hidden` */
  readonly hidden: boolean;
}

export class ObservedPage {
  readonly kind: HeartbeatKind;
  readonly userId: string;
  /** Milliseconds between two calls of a function that setInterval should call once a second, while hidden. */
  readonly tickGaps: number[] = [];
  /** Milliseconds between two pings or heartbeats, while hidden. */
  readonly beatGaps: number[] = [];
  /** Reasons of the server for closing sockets of the page. */
  readonly closeReasons: string[] = [];
  /** How long the page has been hidden without a break, in milliseconds. 0 while it is visible. */
  hiddenForMs = 0;
  /** True if the page was hidden and became visible again. */
  wasShownAgain = false;
  /** The reasons of the events of the user in the log, and the status of the user, after the observation. */
  eventReasons: readonly string[] = [];
  status = '';
  #hiddenAt: number | null = null;
  #lastTickAt: number | null = null;
  #lastBeatAt: number | null = null;

  constructor(kind: HeartbeatKind, userId: string) {
    this.kind = kind;
    this.userId = userId;
  }

  addReport({ kind, at, hidden }: PageReport): void {
    if (hidden) this.#hiddenAt ??= at;
    else if (this.#hiddenAt !== null) this.wasShownAgain = true;
    if (this.#hiddenAt !== null) this.hiddenForMs = at - this.#hiddenAt;
    if (kind === 'tick') {
      if (hidden && this.#lastTickAt !== null) this.tickGaps.push(at - this.#lastTickAt);
      this.#lastTickAt = at;
    } else if (kind === 'beat') {
      if (hidden && this.#lastBeatAt !== null) this.beatGaps.push(at - this.#lastBeatAt);
      this.#lastBeatAt = at;
    } else if (kind.startsWith('closed ')) this.closeReasons.push(kind.slice('closed '.length));
  }

  get longestTickGap(): number {
    return Math.max(0, ...this.tickGaps);
  }

  get longestBeatGap(): number {
    return Math.max(0, ...this.beatGaps);
  }
}
