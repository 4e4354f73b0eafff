/** What GraphiQL asks its fetcher to run. */
export interface GraphiqlOperation {
  readonly query: string;
  readonly variables?: Record<string, unknown> | null;
  readonly operationName?: string | null;
}

/** As the headers editor holds them. */
export type EditorHeaders = Readonly<Record<string, unknown>>;

const STRINGS_AND_COMMENTS = /"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*/g;
const DEFINITION = /\b(query|mutation|subscription|fragment)\b\s*([_A-Za-z]\w*)?/g;

/**
 * Whether it goes over a socket. GraphiQL's own parsed document is not asked: it lags behind the editor.
 * A text that does not parse is no subscription; the server says what is wrong with it.
 */
export const isSubscription = ({ query, operationName }: GraphiqlOperation): boolean => {
  for (const [, kind, name] of topLevel(query).matchAll(DEFINITION)) {
    if (kind === 'subscription' && (operationName == null || operationName === name)) return true;
  }
  return false;
};

/** The text outside of all brackets: a field may be called `subscription` too. */
const topLevel = (query: string): string => {
  let depth = 0;
  let text = '';
  for (const char of query.replace(STRINGS_AND_COMMENTS, ' ')) {
    if ('{(['.includes(char)) depth++;
    else if ('})]'.includes(char)) depth--;
    else if (depth === 0) text += char;
  }
  return text;
};

/** The value of the `authorization` header, however it is spelled. */
export const findAuthorization = (headers: EditorHeaders | undefined): string | undefined => {
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') return value;
  }
  return undefined;
};
