/** Checks that alerts and dashboard query existing metrics, and that Prometheus accepts them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { createApplication } from '../../../src/app/application.ts';
import { Histogram } from '../../../src/app/shared/histogram.ts';
import { ServerCounters } from '../../../src/server/metrics/counters.ts';
import { createMetrics } from '../../../src/server/metrics/metrics.ts';
import { credentialFactory } from '../../../src/server/auth/session-token.ts';
import { FakeStore, START } from '../../unit/app/support/fake-store.ts';
import { webhookParts } from '../../unit/app/webhooks/webhook-parts.ts';
import { isMissing } from '../../support/optional-tools.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const LACKS_PROMTOOL = isMissing('promtool', 'alert rules and dashboard queries checked by Prometheus');
const promtool = (...args: string[]): string => execFileSync('promtool', args, { cwd: root, encoding: 'utf8' });

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { readonly uid: string };
  }[];
}

const dashboard = JSON.parse(read('docs/monitoring/grafana.json')) as {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly query: unknown }[];
  };
  readonly panels: readonly Panel[];
};
const graphPanels = dashboard.panels.filter(({ type }) => type !== 'row');
const queries = graphPanels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

/** Returns the names of all metrics that the server exposes. */
const readMetricNames = async (): Promise<ReadonlySet<string>> => {
  const histogram = new Histogram([1]);
  const text = await createMetrics({
    application: createApplication(
      new FakeStore(),
      credentialFactory,
      'everyone',
      webhookParts(() => START),
    ),
    counters: new ServerCounters(),
    sweeper: { backlog: 0 },
    webhooks: () => ({
      webhooksByState: { ACTIVE: 0, PAUSED: 0, GONE: 0 },
      attemptsByResult: { TAKEN: 0, REFUSED: 0, UNANSWERED: 0 },
      deliveredEvents: 0,
      deadDeliveries: 0,
      goneWebhooks: 0,
      activeShards: 0,
      isolatedUsers: 0,
      oldestPendingEventAt: null,
    }),
    storage: {
      commitMetrics: { durations: histogram, entryCounts: histogram, failedCount: 0 },
      readDiskUsage: () => Promise.resolve({ databaseBytes: 0, walBytes: 0, freeBytes: 0 }),
    },
    maxSockets: 1,
    version: '1.2.3',
  }).render();
  const names = Array.from(text.matchAll(/^# TYPE (\S+) (\S+)$/gm), ([, name = '', type]) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  );
  return new Set(names.flat());
};

const findMetricNames = (text: string): readonly string[] => text.match(/\b(porchlight|process|nodejs)_\w+/g) ?? [];

test.skipIf(LACKS_PROMTOOL)('promtool accepts the alert rules, and each alert fires only under its condition', () => {
  expect(promtool('check', 'rules', 'docs/monitoring/alerts.yaml')).toContain('SUCCESS');
  expect(promtool('test', 'rules', 'test/integration/monitoring/alerts.test.yaml')).toContain('SUCCESS');
  const alerts = Array.from(read('docs/monitoring/alerts.yaml').matchAll(/alert: (\w+)/g), ([, name = '']) => name);
  expect(alerts.length).toBeGreaterThan(12);
  const [tests, docs] = [read('test/integration/monitoring/alerts.test.yaml'), read('docs/operations.md')];
  for (const alert of alerts) {
    expect(tests, alert).toContain(`alertname="${alert}"`);
    expect(docs, alert).toContain(`\`${alert}\``);
  }
});

test('alerts and dashboard query only existing metrics, and docs/operations.md describes every metric', async () => {
  const metricNames = await readMetricNames();
  const queried = [
    ...findMetricNames(read('docs/monitoring/alerts.yaml').replace(/^#.*$/gm, '')),
    ...queries.flatMap(findMetricNames),
  ];
  expect(queried.length).toBeGreaterThan(40);
  expect(queried.filter((name) => !metricNames.has(name))).toEqual([]);
  const docs = read('docs/operations.md');
  const own = [...metricNames].filter((name) => name.startsWith('porchlight_') && !/_(sum|count)$/.test(name));
  expect(own.filter((name) => !docs.includes(`\`${name.replace(/_bucket$/, '')}`))).toEqual([]);
});

test.skipIf(LACKS_PROMTOOL)('Prometheus accepts every query of the dashboard', () => {
  const directory = mkdtempSync(join(tmpdir(), 'porchlight-dashboard-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const rules = queries.map((expr, index) => ({
    record: `expr:${index}`,
    expr: expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*'),
  }));
  const path = join(directory, 'rules.json');
  // promtool reads YAML, and JSON is valid YAML.
  writeFileSync(path, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
  expect(promtool('check', 'rules', path)).toContain(`${queries.length} rules found`);
});

test('Grafana can load the dashboard: unique ids, a datasource for each query, no overlapping panels', () => {
  expect(dashboard).toMatchObject({ uid: 'porchlight', title: 'Porchlight' });
  expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36);
  expect(dashboard).not.toHaveProperty('id');
  const [source, instance] = dashboard.templating.list;
  expect(source).toMatchObject({ name: 'datasource', type: 'datasource', query: 'prometheus' });
  expect(instance).toMatchObject({ name: 'instance', type: 'query' });
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { title, targets = [], datasource } of graphPanels) {
    expect(targets.length, title).toBeGreaterThan(0);
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    for (const target of [{ datasource }, ...targets]) expect(target.datasource?.uid, title).toBe('${datasource}');
  }
  const panelByCell = new Map<string, string>();
  for (const { title, gridPos } of dashboard.panels) {
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(panelByCell.get(`${x} ${y}`), title).toBeUndefined();
        panelByCell.set(`${x} ${y}`, title);
      }
    }
  }
});
