/** One operation of a validated document, and the questions that the pipeline and the transports ask about it. */
import {
  Kind,
  OperationTypeNode,
  type DocumentNode,
  type FragmentDefinitionNode,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';

/** The part of an operation that decides how it is limited, counted and logged. */
export interface OperationInfo {
  readonly node: Pick<OperationDefinitionNode, 'operation'>;
  /** Every root field that the operation can select, fragments included. `@skip` and `@include` are ignored. */
  readonly rootFields: ReadonlySet<string>;
}

export interface Operation extends OperationInfo {
  readonly node: OperationDefinitionNode;
}

export type OperationPredicate = (operation: Operation) => boolean;

const INTROSPECTION_FIELDS = ['__schema', '__type'];

export const isLogin: OperationPredicate = ({ rootFields }) => rootFields.has('login');

export const isQueryOrMutation = ({ node }: OperationInfo): boolean =>
  node.operation !== OperationTypeNode.SUBSCRIPTION;

export const isMutation: OperationPredicate = ({ node }) => node.operation === OperationTypeNode.MUTATION;

export const isSubscription: OperationPredicate = ({ node }) => node.operation === OperationTypeNode.SUBSCRIPTION;

export const isIntrospection: OperationPredicate = ({ rootFields }) =>
  INTROSPECTION_FIELDS.some((field) => rootFields.has(field));

/** The subscription that reports the end of the caller's session. It completes by itself after that. */
export const isSessionEndedSubscription: OperationPredicate = ({ rootFields }) => rootFields.has('sessionEnded');

/**
 * True if the operation executes `heartbeat` first, whatever its variables are. If it succeeds, it records the
 * activity that the message would have recorded, so a second record would be redundant.
 */
export const startsWithHeartbeat: OperationPredicate = ({ node }) => {
  const [first] = node.selectionSet.selections;
  if (first?.kind !== Kind.FIELD || first.name.value !== 'heartbeat') return false;
  return first.directives === undefined || first.directives.length === 0;
};

/** All operations of a document, in its order. */
export const extractOperations = (document: DocumentNode): readonly Operation[] => {
  const fragments = new Map<string, FragmentDefinitionNode>();
  const nodes: OperationDefinitionNode[] = [];
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
    if (definition.kind === Kind.OPERATION_DEFINITION) nodes.push(definition);
  }
  return nodes.map((node) => ({ node, rootFields: collectRootFields(node.selectionSet, fragments) }));
};

const collectRootFields = (
  root: SelectionSetNode,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
): ReadonlySet<string> => {
  const fields = new Set<string>();
  const visitedFragments = new Set<string>();
  const collect = (set: SelectionSetNode): void => {
    for (const selection of set.selections) {
      if (selection.kind === Kind.FIELD) fields.add(selection.name.value);
      else if (selection.kind === Kind.INLINE_FRAGMENT) collect(selection.selectionSet);
      else if (!visitedFragments.has(selection.name.value)) {
        visitedFragments.add(selection.name.value);
        const fragment = fragments.get(selection.name.value);
        if (fragment !== undefined) collect(fragment.selectionSet);
      }
    }
  };
  collect(root);
  return fields;
};
