/** Starts GraphiQL in the page. Runs in the browser, after the scripts of GraphiQL and graphql-ws. */
import { createGraphiqlFetcher, type GraphiqlFetcher } from './fetcher.ts';
import { SchemaLoader } from './introspection.ts';
import { findAuthorization, type EditorHeaders } from './operation.ts';
import { type TabStorage, takeStoredTabs } from './stored-tabs.ts';
import { DEFAULT_HEADERS, hasPlaceholder, type GraphiqlTab } from './tabs.ts';

declare const location: { readonly origin: string; readonly pathname: string };
declare const document: { querySelector(selector: string): object | null };
declare const sessionStorage: TabStorage;
declare const self: {
  MonacoEnvironment?: { readonly globalAPI: false; getWorkerUrl(module: string, label: string): string };
};
declare const YogaGraphiQL: { renderYogaGraphiQL(root: object | null, options: GraphiqlOptions): void };

/** The options of Yoga's GraphiQL, and of the GraphiQL inside it, that are used here. */
interface GraphiqlOptions {
  readonly title: string;
  readonly logo: string;
  readonly fetcher: GraphiqlFetcher;
  readonly storage: TabStorage;
  readonly defaultTabs: readonly GraphiqlTab[];
  readonly headers: string;
  readonly initialQuery: string;
  readonly initialVariables: string;
  readonly initialHeaders: string;
  readonly shouldPersistHeaders: boolean;
  readonly showPersistHeadersSettings: boolean;
  readonly onEditQuery: () => void;
  readonly onEditHeaders: (text: string) => void;
}

/** A credential is tried when the headers have not changed for this long, because the user may still be typing. */
const EDIT_DEBOUNCE_MS = 400;

const schemaLoader = new SchemaLoader();

let debounceTimer: ReturnType<typeof setTimeout> | undefined;
const onEditHeaders = (text: string): void => {
  clearTimeout(debounceTimer);
  debounceTimer = setTimeout(() => {
    const authorization = parseAuthorization(text);
    if (authorization !== undefined && !hasPlaceholder(authorization)) schemaLoader.offerCredential(authorization);
  }, EDIT_DEBOUNCE_MS);
};

const parseAuthorization = (text: string): string | undefined => {
  try {
    return findAuthorization(JSON.parse(text) as EditorHeaders);
  } catch {
    // The user is still typing.
    return undefined;
  }
};

self.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_module, label) => new URL(`${label}.worker.js`, import.meta.url).href,
};

const { tabs, shouldPersistHeaders } = takeStoredTabs(sessionStorage);
const [first] = tabs;

YogaGraphiQL.renderYogaGraphiQL(document.querySelector('#root'), {
  title: 'Porchlight',
  logo: '<span class="lamp"></span>',
  fetcher: createGraphiqlFetcher(location.origin + location.pathname, schemaLoader),
  storage: sessionStorage,
  defaultTabs: tabs,
  headers: DEFAULT_HEADERS,
  // The editors do not show the first tab by themselves.
  initialQuery: first.query,
  initialVariables: first.variables,
  initialHeaders: first.headers,
  shouldPersistHeaders,
  showPersistHeadersSettings: true,
  // Replaces Yoga's handler, which writes the query into the URL, and so into histories and logs.
  onEditQuery: () => undefined,
  onEditHeaders,
});
