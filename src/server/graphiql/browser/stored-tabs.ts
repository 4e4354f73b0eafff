/**
 * Restores the user's queries and variables after a reload. They are in session storage, so two browser tabs may act as
 * two users. Headers contain secrets; they are kept only if the user enables that in GraphiQL's settings.
 */
import { DEFAULT_HEADERS, DEFAULT_TABS, type GraphiqlTab } from './tabs.ts';

/** The part of the browser's Storage that is used here. */
export interface TabStorage {
  getItem(key: string): string | null;
  removeItem(key: string): void;
}

export interface StoredTabs {
  readonly tabs: readonly [GraphiqlTab, ...GraphiqlTab[]];
  readonly shouldPersistHeaders: boolean;
}

const TABS_KEY = 'graphiql:tabState';
/** GraphiQL's second copy of the open tab. Only one of the two copies is used, because they may differ. */
const EDITOR_KEYS = ['graphiql:query', 'graphiql:variables', 'graphiql:headers'];

/**
 * Removes the tabs from the storage and returns them, as the initial tabs of GraphiQL. If GraphiQL restored them itself,
 * their headers would lack the hints, and a tab would be added whenever its two copies differ.
 */
export const takeStoredTabs = (storage: TabStorage): StoredTabs => {
  const shouldPersistHeaders = storage.getItem('graphiql:shouldPersistHeaders') === 'true';
  const [first, ...others] = parseStoredTabs(storage.getItem(TABS_KEY), shouldPersistHeaders);
  for (const key of [TABS_KEY, ...EDITOR_KEYS]) storage.removeItem(key);
  return { shouldPersistHeaders, tabs: first === undefined ? DEFAULT_TABS : [first, ...others] };
};

const parseStoredTabs = (text: string | null, withHeaders: boolean): readonly GraphiqlTab[] => {
  try {
    const { tabs } = JSON.parse(text ?? '{}') as {
      tabs?: readonly Partial<Record<keyof GraphiqlTab, string | null>>[];
    };
    return (tabs ?? []).map(({ query, variables, headers }) => ({
      query: query ?? '',
      variables: variables ?? '',
      headers: (withHeaders ? headers : null) ?? findHint(query ?? ''),
    }));
  } catch {
    // GraphiQL did not write this.
    return [];
  }
};

/** Returns the headers of the default tab with the same operation name. */
const findHint = (query: string): string =>
  DEFAULT_TABS.find((tab) => operationNameOf(tab.query) === operationNameOf(query))?.headers ?? DEFAULT_HEADERS;

const operationNameOf = (query: string): string | undefined =>
  /^(?:query|mutation|subscription)\s+(\w+)/m.exec(query)?.[1];
