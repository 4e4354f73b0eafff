/**
 * Checks webhooks against their shards and deliveries. Each check but that of positions is a query whose rows are the
 * problems.
 */
import type Database from 'better-sqlite3';
import { quoteText } from '../../../../core/quote.ts';
import type { Cursor } from '../../../../core/ids.ts';
import {
  DELIVERY_STATUSES,
  EVENT_REASONS,
  WEBHOOK_FORMATS,
  WEBHOOK_STATES,
  type EventReason,
} from '../../../../core/enums.ts';
import { CursorCodec } from '../../schema/cursors.ts';
import { errorMessage } from '../../file/errors.ts';
import { LOG_ID_KEY } from '../../schema/meta-keys.ts';
import type { FindingId, Findings } from './findings.ts';

const HAS_WEBHOOK = 'EXISTS (SELECT 1 FROM webhooks w WHERE w.webhook_id = x.webhook_id)';
const HAS_NO_WEBHOOK = `NOT ${HAS_WEBHOOK}`;

/** Each query selects the id of the webhook and the problem. */
const CHECKS: readonly (readonly [FindingId, string])[] = [
  ['shard-without-webhook', `SELECT webhook_id, 'shard ' || shard FROM webhook_shards x WHERE ${HAS_NO_WEBHOOK}`],
  [
    'delivery-without-webhook',
    `SELECT webhook_id, count(*) || ' deliveries' FROM webhook_deliveries x WHERE ${HAS_NO_WEBHOOK} GROUP BY webhook_id`,
  ],
  [
    'deliveries-pending',
    `SELECT webhook_id, 'shard ' || shard || ', ' || count(*) || ' deliveries' FROM webhook_deliveries x
     WHERE status = 'RETRYING' AND shard IS NOT NULL AND ${HAS_WEBHOOK} AND NOT EXISTS (SELECT 1 FROM webhook_isolated_users i
       WHERE i.webhook_id = x.webhook_id AND i.shard = x.shard AND i.delivery_id = x.delivery_id)
     GROUP BY webhook_id, shard HAVING count(*) > 1`,
  ],
  [
    'shard-without-webhook',
    `SELECT webhook_id, 'an isolated user of shard ' || shard FROM webhook_isolated_users x WHERE ${HAS_NO_WEBHOOK}`,
  ],
  [
    'webhook-value',
    `SELECT webhook_id, 'the pending delivery of an isolated user of shard ' || shard || ' does not exist'
     FROM webhook_isolated_users x WHERE delivery_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d
       WHERE d.delivery_id = x.delivery_id AND d.status = 'RETRYING')`,
  ],
  [
    'webhook-value',
    `SELECT webhook_id, 'the events of delivery ' || delivery_id || ' are not a list' FROM webhook_deliveries
     WHERE CASE WHEN json_valid(events) THEN json_type(events) <> 'array' ELSE 1 END`,
  ],
];

const COLUMNS: readonly (readonly [table: string, column: string, words: readonly string[]])[] = [
  ['webhooks', 'format', WEBHOOK_FORMATS],
  ['webhooks', 'state', WEBHOOK_STATES],
  ['webhook_deliveries', 'status', DELIVERY_STATUSES],
];

export const checkWebhooks = (connection: Database.Database, findings: Findings): void => {
  for (const [id, sql] of CHECKS) {
    const rows = connection.prepare<[], [string, string]>(sql).raw();
    for (const [webhookId, what] of rows.iterate()) findings.addFinding(id, `${quoteText(webhookId)}: ${what}`);
  }
  for (const [table, column, words] of COLUMNS) {
    const known = words.map((word) => `'${word}'`).join(', ');
    const rows = connection
      .prepare<[], [string, string]>(`SELECT webhook_id, ${column} FROM ${table} WHERE ${column} NOT IN (${known})`)
      .raw();
    for (const [webhookId, word] of rows.iterate()) {
      findings.addFinding('unknown-word', `${quoteText(webhookId)}: ${table}.${column} is ${quoteText(word)}`);
    }
  }
  checkReasons(connection, findings);
  checkPositions(connection, findings);
};

const checkReasons = (connection: Database.Database, findings: Findings): void => {
  const rows = connection
    .prepare<[], [string, string]>('SELECT webhook_id, reasons FROM webhooks WHERE reasons IS NOT NULL')
    .raw();
  for (const [webhookId, reasons] of rows.iterate()) {
    const wrong = findReasonsProblem(reasons);
    if (wrong !== null) findings.addFinding('webhook-value', `${quoteText(webhookId)}, reasons: ${wrong}`);
  }
};

const findReasonsProblem = (text: string): string | null => {
  try {
    const reasons: unknown = JSON.parse(text);
    if (!Array.isArray(reasons)) return 'the value is not a list';
    const unknown: unknown = reasons.find((reason) => !EVENT_REASONS.includes(reason as EventReason));
    return unknown === undefined ? null : `${quoteText(JSON.stringify(unknown))} is not a reason`;
  } catch (error) {
    return errorMessage(error);
  }
};

/** A shard cannot continue from a position that the log does not know. */
const checkPositions = (connection: Database.Database, findings: Findings): void => {
  const logId = connection.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck().get(LOG_ID_KEY);
  // Reported by the check of the table `meta`.
  if (logId === undefined) return;
  const cursors = new CursorCodec(logId);
  const rows = connection
    .prepare<[], [string, string, string]>(
      `SELECT webhook_id, 'start', start FROM webhooks
       UNION ALL SELECT webhook_id, 'shard ' || shard, position FROM webhook_shards
       UNION ALL SELECT webhook_id, 'an isolated user of shard ' || shard, position FROM webhook_isolated_users
       UNION ALL SELECT webhook_id, 'an isolated user of shard ' || shard, skipped_through
         FROM webhook_isolated_users WHERE skipped_through IS NOT NULL`,
    )
    .raw();
  for (const [webhookId, where, position] of rows.iterate()) {
    try {
      cursors.decodeCursor(position as Cursor);
    } catch (error) {
      findings.addFinding('webhook-value', `${quoteText(webhookId)}: ${where}: ${errorMessage(error)}`);
    }
  }
};
