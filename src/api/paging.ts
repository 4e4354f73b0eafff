/** The parts that all paginated fields share. */
import { badUserInputError } from '../core/errors.ts';
import { schemaBuilder } from './builder.ts';

export const DEFAULT_PAGE_SIZE = 100;
const MAX_PAGE_SIZE = 500;

export const PAGE_SIZE_DESCRIPTION = `The maximum number of items of the page: 1 to ${MAX_PAGE_SIZE}.`;

/** Applies the default. @throws BAD_USER_INPUT for a size below 1 or above 500. */
export const checkPageSize = (first: number | null | undefined): number => {
  const size = first ?? DEFAULT_PAGE_SIZE;
  if (size < 1 || size > MAX_PAGE_SIZE) {
    throw badUserInputError(`first is ${size}, but must be from 1 to ${MAX_PAGE_SIZE}.`);
  }
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

/** Builds a page. The `endCursor` of an empty page is `after`, so that a polling client can continue with it. */
export const buildPage = <Node>(
  nodes: readonly Node[],
  hasNextPage: boolean,
  after: string | null,
  cursorOf: (node: Node) => string,
): Page<Node> => {
  const last = nodes.at(-1);
  return { nodes, pageInfo: { hasNextPage, endCursor: last === undefined ? after : cursorOf(last) } };
};

export const PageInfoType = schemaBuilder.objectRef<PageEnd>('PageInfo').implement({
  description: 'The end of a page.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether more items follow this page now.' }),
    endCursor: t.exposeString('endCursor', {
      nullable: true,
      description:
        'Pass it as `after` to get the next page. On an empty page it is the `after` of the request, or null without one.',
    }),
  }),
});
