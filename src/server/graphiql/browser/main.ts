/** Starts GraphiQL in the page. Runs in the browser, behind the scripts of GraphiQL and graphql-ws. */
import { createFetcher, type GraphiqlFetcher } from './fetcher.ts';
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
declare const YogaGraphiQL: { renderYogaGraphiQL(root: object | null, options: Options): void };

/** Those of Yoga's GraphiQL, and of the GraphiQL inside it, that are used here. */
interface Options {
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

/** How long the headers rest before they are tried: a token may be typed. */
const PAUSE_MS = 400;

const introspection = new SchemaLoader();

let pause: ReturnType<typeof setTimeout> | undefined;
const onEditHeaders = (text: string): void => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    const authorization = authorizationIn(text);
    if (authorization !== undefined && !hasPlaceholder(authorization)) introspection.offerCredential(authorization);
  }, PAUSE_MS);
};

const authorizationIn = (text: string): string | undefined => {
  try {
    return findAuthorization(JSON.parse(text) as EditorHeaders);
  } catch {
    // Half typed.
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
  fetcher: createFetcher(location.origin + location.pathname, introspection),
  storage: sessionStorage,
  defaultTabs: tabs,
  headers: DEFAULT_HEADERS,
  // The editors do not read the first tab by themselves.
  initialQuery: first.query,
  initialVariables: first.variables,
  initialHeaders: first.headers,
  shouldPersistHeaders,
  showPersistHeadersSettings: true,
  // In place of Yoga's, which writes the query into the address and thereby into histories and logs.
  onEditQuery: () => undefined,
  onEditHeaders,
});
