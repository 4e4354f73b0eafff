/** Limits of a GraphQL document. They hold for both transports, because both use the same document cache. */
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import {
  GraphQLError,
  Kind,
  type ASTVisitor,
  type SelectionSetNode,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';

/** In characters. A cached document stays in memory. Fits 501 user ids of 128 characters. */
export const MAX_DOCUMENT_LENGTH = 128 * 1024;
/** Fits a document with 501 literal user ids, so that it is answered with TOO_MANY_USERS instead of a parse error. */
export const MAX_TOKENS = 2_000;
/** Introspection is exempt: it is deeper, and graphql has a rule of its own for it. */
export const MAX_DEPTH = 10;
export const MAX_ALIASES = 30;
export const MAX_DIRECTIVES = 50;
/** The check for conflicting fields is quadratic in their number. The introspection query of tools has 230 fields. */
export const MAX_FIELDS = 400;
/** Of an HTTP body or a WebSocket message. */
export const MAX_PAYLOAD_BYTES = 512 * 1024;

const armorOptions = (max: number, what: string) => ({
  n: max,
  allowList: [],
  propagateOnRejection: false,
  onReject: [(context: ValidationContext | null) => context?.reportError(limitExceededError(what, max))],
});

const limitExceededError = (what: string, max: number): GraphQLError =>
  new GraphQLError(`The document has more than ${max} ${what}.`);

/** Counts every field that execution can reach. A fragment counts each time it is spread. */
const maxFieldsRule: ValidationRule = (context): ASTVisitor => {
  const counts = new Map<string, number>();
  const countFields = (set: SelectionSetNode | undefined): number => {
    let count = 0;
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) count += countFragmentFields(selection.name.value);
      else count += (selection.kind === Kind.FIELD ? 1 : 0) + countFields(selection.selectionSet);
    }
    return count;
  };
  const countFragmentFields = (fragment: string): number => {
    const cached = counts.get(fragment);
    if (cached !== undefined) return cached;
    // Another rule rejects a fragment that spreads itself. Here the recursion only has to end.
    counts.set(fragment, 0);
    const count = countFields(context.getFragment(fragment)?.selectionSet);
    counts.set(fragment, count);
    return count;
  };
  return {
    Document: ({ definitions }) => {
      let count = 0;
      for (const definition of definitions) {
        // Fragments are counted where they are spread.
        if (definition.kind === Kind.OPERATION_DEFINITION) count += countFields(definition.selectionSet);
      }
      for (const definition of definitions) {
        // An unused fragment is invalid too, but graphql's rules compare its fields before they reject it.
        if (definition.kind === Kind.FRAGMENT_DEFINITION && !counts.has(definition.name.value)) {
          count += countFragmentFields(definition.name.value);
        }
      }
      if (count > MAX_FIELDS) context.reportError(limitExceededError('fields', MAX_FIELDS));
    },
  };
};

/** Applied before graphql's own rules, which are expensive. */
export const QUERY_LIMIT_RULES: readonly ValidationRule[] = [
  maxDepthRule({ ...armorOptions(MAX_DEPTH, 'levels'), flattenFragments: true, ignoreIntrospection: true }),
  maxAliasesRule(armorOptions(MAX_ALIASES, 'aliases')),
  maxDirectivesRule(armorOptions(MAX_DIRECTIVES, 'directives')),
  maxFieldsRule,
];
