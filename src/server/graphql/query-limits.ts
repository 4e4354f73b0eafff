/** What a document may be at most. It holds for both doors, because both take their documents from here. */
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

/** It is kept as long as something is told by it. Enough for 501 user ids of 128 characters, written into it. */
export const MAX_DOCUMENT_LENGTH = 128 * 1024;
/** Enough for 501 user ids written into a document, so that they are answered with TOO_MANY_USERS. */
export const MAX_TOKENS = 2_000;
/** graphql has a rule of its own for introspection, which goes deeper. */
export const MAX_DEPTH = 10;
export const MAX_ALIASES = 30;
export const MAX_DIRECTIVES = 50;
/** Checking that fields do not conflict costs the square of their number. Introspection as tools send it has 230. */
export const MAX_FIELDS = 400;
/** Of an HTTP body, and of a message on a socket. */
export const MAX_PAYLOAD_BYTES = 512 * 1024;
/** Of a message on a socket before it is known whose it is: enough for the longest token. */
export const MAX_UNAUTHENTICATED_PAYLOAD_BYTES = 16 * 1024;
/** When to come back for what is full now, and has room again when others are done: nobody knows when. */
export const RETRY_AFTER_MS = 1_000;

const refusing = (max: number, what: string) => ({
  n: max,
  allowList: [],
  propagateOnRejection: false,
  onReject: [(context: ValidationContext | null) => context?.reportError(tooMuch(what, max))],
});

const tooMuch = (what: string, max: number): GraphQLError =>
  new GraphQLError(`The document has more than ${max} ${what}.`);

/** Every field that executing could reach, however often fragments repeat it. */
const maxFieldsRule: ValidationRule = (context): ASTVisitor => {
  const counts = new Map<string, number>();
  const countIn = (set: SelectionSetNode | undefined): number => {
    let count = 0;
    for (const selection of set?.selections ?? []) {
      if (selection.kind === Kind.FRAGMENT_SPREAD) count += countOf(selection.name.value);
      else count += (selection.kind === Kind.FIELD ? 1 : 0) + countIn(selection.selectionSet);
    }
    return count;
  };
  const countOf = (fragment: string): number => {
    const known = counts.get(fragment);
    if (known !== undefined) return known;
    // A fragment that spreads itself is refused elsewhere; here it must only come to an end.
    counts.set(fragment, 0);
    const count = countIn(context.getFragment(fragment)?.selectionSet);
    counts.set(fragment, count);
    return count;
  };
  return {
    Document: ({ definitions }) => {
      let count = 0;
      for (const definition of definitions) {
        // Fragments count where they are spread.
        if (definition.kind === Kind.OPERATION_DEFINITION) count += countIn(definition.selectionSet);
      }
      for (const definition of definitions) {
        // One that is spread nowhere is refused, but not before its fields have been compared.
        if (definition.kind === Kind.FRAGMENT_DEFINITION && !counts.has(definition.name.value)) {
          count += countOf(definition.name.value);
        }
      }
      if (count > MAX_FIELDS) context.reportError(tooMuch('fields', MAX_FIELDS));
    },
  };
};

/** To be applied before graphql's own rules, which are not cheap. */
export const QUERY_LIMIT_RULES: readonly ValidationRule[] = [
  maxDepthRule({ ...refusing(MAX_DEPTH, 'levels'), flattenFragments: true, ignoreIntrospection: true }),
  maxAliasesRule(refusing(MAX_ALIASES, 'aliases')),
  maxDirectivesRule(refusing(MAX_DIRECTIVES, 'directives')),
  maxFieldsRule,
];
