/** What all pages have in common. */
import { badUserInputError } from '../core/errors.ts';
import { builder } from './builder.ts';

export const DEFAULT_PAGE = 100;
const MAX_PAGE = 500;

export const FIRST_DESCRIPTION = `How many entries the page may have: 1 to ${MAX_PAGE}.`;

/** @throws BAD_USER_INPUT for a page of none, or of more than 500. */
export const checkPageSize = (first: number | null | undefined): number => {
  const size = first ?? DEFAULT_PAGE;
  if (size < 1 || size > MAX_PAGE) throw badUserInputError(`first is ${size}; 1 to ${MAX_PAGE} is right.`);
  return size;
};

interface PageEnd {
  readonly hasNextPage: boolean;
  readonly endCursor: string | null;
}

export interface Page<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: PageEnd;
}

/** An empty page ends where it began, so that whoever polls can go on with its endCursor. */
export const buildPage = <Node>(
  nodes: readonly Node[],
  hasNextPage: boolean,
  after: string | null,
  cursorOf: (node: Node) => string,
): Page<Node> => {
  const last = nodes.at(-1);
  return { nodes, pageInfo: { hasNextPage, endCursor: last === undefined ? after : cursorOf(last) } };
};

export const PageInfo = builder.objectRef<PageEnd>('PageInfo').implement({
  description: 'Where a page ends.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Is there more after this page, as of now?' }),
    endCursor: t.exposeString('endCursor', {
      nullable: true,
      description:
        'Give it as `after` to get the next page. On an empty page it is the `after` that was asked with (null without one).',
    }),
  }),
});
