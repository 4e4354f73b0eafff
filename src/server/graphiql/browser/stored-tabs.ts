/**
 * What a reload finds again: the user's queries and variables, in this browser tab only (session storage), so that two
 * of them may be two users. Headers hold secrets: they are kept only if the user says so in GraphiQL's settings.
 */
import { DEFAULT_HEADERS, DEFAULT_TABS, type GraphiqlTab } from './tabs.ts';

/** As much of the browser's Storage as is used here. */
export interface TabStorage {
  getItem(key: string): string | null;
  removeItem(key: string): void;
}

export interface StoredTabs {
  readonly tabs: readonly [GraphiqlTab, ...GraphiqlTab[]];
  readonly shouldPersistHeaders: boolean;
}

const TABS = 'graphiql:tabState';
/** The contents of the open tab once more: of two memories that may differ, one is kept. */
const EDITORS = ['graphiql:query', 'graphiql:variables', 'graphiql:headers'];

/**
 * Takes the tabs out of the storage. GraphiQL gets them as the ones to begin with: restored by itself, it would show
 * tabs without the hints in their headers, and add one whenever its two memories differ.
 */
export const takeStoredTabs = (storage: TabStorage): StoredTabs => {
  const shouldPersistHeaders = storage.getItem('graphiql:shouldPersistHeaders') === 'true';
  const [first, ...others] = storedTabs(storage.getItem(TABS), shouldPersistHeaders);
  for (const key of [TABS, ...EDITORS]) storage.removeItem(key);
  return { shouldPersistHeaders, tabs: first === undefined ? DEFAULT_TABS : [first, ...others] };
};

const storedTabs = (text: string | null, withHeaders: boolean): readonly GraphiqlTab[] => {
  try {
    const { tabs } = JSON.parse(text ?? '{}') as {
      tabs?: readonly Partial<Record<keyof GraphiqlTab, string | null>>[];
    };
    return (tabs ?? []).map(({ query, variables, headers }) => ({
      query: query ?? '',
      variables: variables ?? '',
      headers: (withHeaders ? headers : null) ?? hintFor(query ?? ''),
    }));
  } catch {
    // Not what GraphiQL wrote.
    return [];
  }
};

/** The hint of the ready tab that runs the same operation. */
const hintFor = (query: string): string =>
  DEFAULT_TABS.find((tab) => nameOf(tab.query) === nameOf(query))?.headers ?? DEFAULT_HEADERS;

const nameOf = (query: string): string | undefined => /^(?:query|mutation|subscription)\s+(\w+)/m.exec(query)?.[1];
