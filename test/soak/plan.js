// What happens to the server and when: a function of the seed and of how long it takes, and of nothing else.
import { PLATFORMS } from './judge/policies.js';
import { Random } from './random.js';

/** @typedef {{ atMs: number, kind: string, forMs?: number, change?: object, gapMs?: number, delayMs?: number }} Step */

/** How often each comes, one against the other. */
const WEIGHTS = {
  kill: 8,
  stop: 5,
  sleep: 8,
  storm: 6,
  policy: 16,
  slowDisk: 8,
  fullDisk: 5,
  longReader: 6,
  writerLock: 6,
  backup: 6,
  copy: 6,
  feedCut: 8,
  revokeMany: 5,
};

/** A stretch in the middle of a long run without a restart, so that memory is seen to stay or to grow. */
const STEADY = { from: 0.3, to: 0.8 };
const RESTARTS = ['kill', 'stop'];
/** A short run has one of each, these first. */
const FIRST = [
  'policy',
  'kill',
  'storm',
  'sleep',
  'backup',
  'slowDisk',
  'stop',
  'feedCut',
  'revokeMany',
  'copy',
  'fullDisk',
  'writerLock',
];

/**
 * @param {number} seed
 * @param {number} minutes
 * @returns {Step[]} in order
 */
export function planOf(seed, minutes) {
  const random = new Random(`${seed} plan`);
  const lengthMs = minutes * 60_000;
  const isShort = minutes < 5;
  /** @type {Step[]} */
  const steps = [];
  const warmUpMs = isShort ? 4_000 : 15_000;
  for (let atMs = warmUpMs; atMs < lengthMs - 2_500; atMs += isShort ? 3_500 : random.between(5_000, 18_000)) {
    const isSteady = !isShort && atMs > STEADY.from * lengthMs && atMs < STEADY.to * lengthMs;
    let kind = FIRST[steps.length] ?? random.weighted(WEIGHTS);
    while (isSteady && RESTARTS.includes(kind)) kind = random.weighted(WEIGHTS);
    steps.push({ atMs, kind, ...details(kind, random, isShort) });
  }
  return steps;
}

/**
 * @param {string} kind
 * @param {Random} random
 * @param {boolean} isShort
 * @returns {Partial<Step>}
 */
function details(kind, random, isShort) {
  switch (kind) {
    case 'kill':
    case 'stop':
      // How long no server runs.
      return { gapMs: random.chance(0.7) || isShort ? 0 : random.between(500, 6_000) };
    case 'sleep':
      // Some are longer than every timeout.
      return {
        forMs: isShort ? 2_500 : random.chance(0.5) ? random.between(11_000, 16_000) : random.between(500, 6_000),
      };
    case 'slowDisk':
      return { forMs: isShort ? 2_500 : random.between(4_000, 12_000), delayMs: random.pick([100, 500, 2_000]) };
    case 'fullDisk':
      return { forMs: random.between(1_000, 5_000) };
    case 'longReader':
      return { forMs: isShort ? 3_000 : random.between(10_000, 40_000) };
    case 'writerLock':
      return { forMs: 2_000 };
    case 'policy':
      return { change: policyChange(random) };
    default:
      return {};
  }
}

/** The policy that the run begins with: as it ships, but with short times. */
export function firstPolicy() {
  const row = (
    /** @type {string} */ platform,
    /** @type {number} */ timeoutS,
    /** @type {number} */ graceMs,
    /** @type {number | null} */ backgroundMs = null,
  ) => ({
    platform,
    heartbeatIntervalMs: timeoutS * 400,
    heartbeatTimeoutMs: timeoutS * 1_000,
    backgroundTimeoutMs: backgroundMs,
    disconnectGraceMs: graceMs,
  });
  return {
    multiDevice: { mode: 'DUAL' },
    pushOnlineExpiryMs: 60_000,
    platforms: [
      row('ANDROID', 6, 0),
      row('IPHONE', 10, 1_000),
      row('IPAD', 4, 2_000),
      row('WINDOWS', 5, 0),
      row('MAC', 8, 0),
      row('LINUX', 2, 500),
      row('WEB', 3, 1_000),
      row('MINI_PROGRAM', 9, 0, 2_000),
    ],
  };
}

/** @param {Random} random */
function policyChange(random) {
  if (random.chance(0.4)) {
    const mode = random.pick(['SINGLE', 'DUAL', 'TRIPLE', 'MULTI', 'CUSTOM']);
    return { multiDevice: mode === 'CUSTOM' ? { mode, groups: groups(random) } : { mode } };
  }
  if (random.chance(0.15)) return { pushOnlineExpiryMs: random.between(20, 90) * 1_000 };
  return { platforms: random.some(PLATFORMS, random.between(1, 3)).map((platform) => rowChange(platform, random)) };
}

/** @param {Random} random */
function groups(random) {
  const chosen = random.some(PLATFORMS, random.between(2, 8));
  const cut = random.between(1, chosen.length - 1);
  return [chosen.slice(0, cut), chosen.slice(cut)];
}

/** @param {string} platform @param {Random} random */
function rowChange(platform, random) {
  const heartbeatTimeoutMs = random.between(4, 20) * 500;
  return {
    platform,
    heartbeatTimeoutMs,
    heartbeatIntervalMs: Math.floor(heartbeatTimeoutMs * 0.4),
    disconnectGraceMs: random.pick([0, 0, 500, 1_000, 2_000]),
    backgroundTimeoutMs: random.pick([null, null, 1_500, 3_000]),
    maxInstances: random.pick([1, 1, 1, 2, 3]),
    ...(platform === 'MAC' ? { canBePushOnline: random.chance(0.5) } : {}),
  };
}
