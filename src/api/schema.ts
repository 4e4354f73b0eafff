/** The complete schema, built once from all concepts. */
import { schemaBuilder } from './builder.ts';
import './scalars.ts';
import './enums.ts';
import './session.ts';
import './user-status.ts';
import './status-changes.ts';
import './login.ts';
import './heartbeat.ts';
import './logout.ts';
import './custom-status.ts';
import './session-ended.ts';
import './online-users.ts';
import './events.ts';
import './stats.ts';
import './explain-status.ts';
import './end-sessions.ts';
import './policy.ts';
import './update-policy.ts';
import './webhooks.ts';
import './webhook-mutations.ts';
import './webhook-deliveries.ts';

export const schema = schemaBuilder.toSchema();
