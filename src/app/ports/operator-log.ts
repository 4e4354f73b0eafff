/** The port to which the use cases report what backends change, so that operators find it in the log. */
import type { UserId } from '../../core/ids.ts';
import type { Policy } from '../../core/policy.ts';
import type { WebhookRecord } from '../../core/webhooks/webhook.ts';

export interface EndedSessionsReport {
  readonly userId: UserId;
  /** Number of sessions that were ended. */
  readonly count: number;
  /** True: tokens that were issued until now are refused. */
  readonly revokedTokens: boolean;
}

/** Each method is called after the change is durable. None of them throws. */
export interface OperatorLog {
  policyUpdated(policy: Policy): void;
  sessionsEnded(report: EndedSessionsReport): void;
  webhookCreated(webhook: WebhookRecord): void;
  webhookUpdated(webhook: WebhookRecord): void;
  webhookDeleted(webhook: WebhookRecord): void;
}

export const NO_OPERATOR_LOG: OperatorLog = {
  policyUpdated: () => undefined,
  sessionsEnded: () => undefined,
  webhookCreated: () => undefined,
  webhookUpdated: () => undefined,
  webhookDeleted: () => undefined,
};
