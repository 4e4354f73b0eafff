/** An operation that GraphiQL passes to its fetcher. */
export interface GraphiqlOperation {
  readonly query: string;
  readonly variables?: Record<string, unknown> | null;
  readonly operationName?: string | null;
}

/** The parsed content of the headers editor. */
export type EditorHeaders = Readonly<Record<string, unknown>>;

const STRINGS_AND_COMMENTS = /"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*/g;
const DEFINITION = /\b(query|mutation|subscription|fragment)\b\s*([_A-Za-z]\w*)?/g;

/**
 * Whether the operation is a subscription, which needs a WebSocket. GraphiQL's own parsed document is not used, because
 * it lags behind the editor. Invalid text is sent by POST, and the server reports the error.
 */
export const isSubscriptionOperation = ({ query, operationName }: GraphiqlOperation): boolean => {
  for (const [, kind, name] of topLevelText(query).matchAll(DEFINITION)) {
    if (kind === 'subscription' && (operationName == null || operationName === name)) return true;
  }
  return false;
};

/** Returns the text outside of all brackets: a field may be named `subscription` too. */
const topLevelText = (query: string): string => {
  let depth = 0;
  let text = '';
  for (const char of query.replace(STRINGS_AND_COMMENTS, ' ')) {
    if ('{(['.includes(char)) depth++;
    else if ('})]'.includes(char)) depth--;
    else if (depth === 0) text += char;
  }
  return text;
};

/** Returns the value of the `authorization` header; its name is case-insensitive. */
export const findAuthorization = (headers: EditorHeaders | undefined): string | undefined => {
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') return value;
  }
  return undefined;
};
