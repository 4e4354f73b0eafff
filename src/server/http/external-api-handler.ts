/**
 * Carries an API of another product through the HTTP door: counted, limited, put off and logged as the operation of ours
 * that does as much. No page of another origin may read its answers, and its credentials are in no header.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { OperationTypeNode } from 'graphql';
import type { Logger } from 'pino';
import { BACKEND } from '../../app/auth/caller.ts';
import type { ForeignAnswer, ForeignApi, ForeignCall, ForeignHead } from '../../app/ports/external-api.ts';
import { badUserInput, DomainError } from '../../core/errors.ts';
import type { Millis } from '../../core/ids.ts';
import { bodyOf, isCompressed, textOf } from './read-body.ts';
import type { DoorCounts } from '../metrics/counters.ts';
import { knock, Passage, uncount } from './request-context.ts';
import { REQUEST_ID, sendJson, type RequestHandler } from './router.ts';
import { MAX_PAYLOAD_BYTES } from '../graphql/query-limits.ts';
import type { Operations } from '../metrics/operation-recorder.ts';
import type { Overload } from '../graphql/load-shedding.ts';
import type { Rates } from '../limits/rate-limiter.ts';

export interface ForeignOptions {
  readonly api: ForeignApi;
  readonly operations: Operations;
  readonly overload: Overload;
  readonly rates: Rates;
  readonly counts: DoorCounts;
  readonly trustProxy: boolean;
  readonly log: Logger;
  readonly now: () => Millis;
}

const KINDS = { query: OperationTypeNode.QUERY, mutation: OperationTypeNode.MUTATION } as const;

/** Resolves when the answer is written, or its reader is gone. */
export const createForeign =
  (options: ForeignOptions): RequestHandler =>
  async (request, response) => {
    const { api, operations, counts, log, trustProxy } = options;
    const requestId = String(response.getHeader(REQUEST_ID));
    const passage = new Passage(request, requestId, operations.begin(), trustProxy);
    let answer: ForeignAnswer | null;
    let code: string | null = null;
    try {
      answer = await answerOf(options, request, response, passage);
    } catch (error) {
      const refusal = error instanceof DomainError ? error : null;
      if (refusal === null) {
        counts.faults++;
        log.error({ requestId, err: error }, 'A request to another API failed.');
      }
      code = refusal?.fault.code ?? 'INTERNAL_SERVER_ERROR';
      answer = api.refusal(refusal);
    }
    if (answer === null) return;
    sendJson(response, answer.status, answer.body);
    operations.answered(
      passage,
      passage.began,
      passage.operation,
      code === null ? undefined : [{ extensions: { code } }],
    );
  };

/** Null: its reader is gone. @throws DomainError. */
const answerOf = async (
  options: ForeignOptions,
  request: IncomingMessage,
  response: ServerResponse,
  passage: Passage,
): Promise<ForeignAnswer | null> => {
  const call = await admitted(options, request, passage);
  passage.caller = BACKEND;
  passage.operation = { node: { operation: KINDS[call.like.kind] }, rootFields: new Set([call.like.field]) };
  const refusal = options.overload.refusal(passage.operation);
  if (refusal !== null) throw refusal;
  const body = await read(request, response);
  if (body === null) return null;
  passage.began = options.operations.begin();
  return call.answer(body);
};

/** Of somebody who is not known and has to wait, it is not even looked at who she is. */
const admitted = async (
  { api, rates, counts, now }: ForeignOptions,
  request: IncomingMessage,
  passage: Passage,
): Promise<ForeignCall> => {
  const head = headOf(request);
  const threshold = { rates, refusals: counts.refusals };
  knock(threshold, passage, now(), () => api.knows(head));
  const call = await api.call(head);
  uncount(threshold, passage, now());
  return call;
};

const headOf = ({ method = '', url = '' }: IncomingMessage): ForeignHead => {
  const [path = '', ...query] = url.split('?');
  return { method, path, query: query.join('?') };
};

/** Null: the client is gone. @throws BAD_USER_INPUT for a body that is too long, or no text. */
const read = async (request: IncomingMessage, response: ServerResponse): Promise<string | null> => {
  if (isCompressed(request.headers['content-encoding'])) throw badUserInput('The body must not be compressed.');
  let body: Buffer | null;
  try {
    body = await bodyOf(request, MAX_PAYLOAD_BYTES);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // Nobody waits for the end of it.
    response.setHeader('Connection', 'close');
    throw badUserInput(error.message);
  }
  if (body === null) return null;
  const text = textOf(body);
  if (text === null) throw badUserInput('The body is not UTF-8.');
  return text;
};
