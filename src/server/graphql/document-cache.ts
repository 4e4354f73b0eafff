/** Documents, parsed and checked once: the same text again costs a look-up. */
import { GraphQLError, parse, specifiedRules, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { extractOperations, type Operation } from './operation.ts';
import { QUERY_LIMIT_RULES, MAX_DOCUMENT_LENGTH, MAX_TOKENS } from './query-limits.ts';

const MAX_DOCUMENTS = 1_000;
/** Of text; the parsed documents take some fifty times of it. */
const MAX_CHARACTERS = 1_000_000;

export class DocumentCache {
  readonly #schema: GraphQLSchema;
  /** Checked documents by their text, the one used longest ago first. */
  readonly #bySource = new Map<string, DocumentNode>();
  #characters = 0;
  readonly #sources = new WeakMap<DocumentNode, string>();
  /** The operations of checked documents. */
  readonly #operations = new WeakMap<DocumentNode, readonly Operation[]>();

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
  }

  /** @throws GraphQLError, GRAPHQL_PARSE_FAILED. */
  parse(source: string): DocumentNode {
    const findCachedOperation = this.#bySource.get(source);
    if (findCachedOperation !== undefined) {
      this.#bySource.delete(source);
      this.#bySource.set(source, findCachedOperation);
      return findCachedOperation;
    }
    if (source.length > MAX_DOCUMENT_LENGTH) {
      const message = `The document has more than ${MAX_DOCUMENT_LENGTH} characters.`;
      throw withCode(new GraphQLError(message), 'GRAPHQL_PARSE_FAILED');
    }
    try {
      const document = parse(source, { maxTokens: MAX_TOKENS });
      this.#sources.set(document, source);
      return document;
    } catch (error) {
      if (error instanceof GraphQLError) throw withCode(error, 'GRAPHQL_PARSE_FAILED');
      // The parser goes down with every bracket: fewer tokens than are allowed can take all of the stack.
      if (error instanceof RangeError) throw withCode(new GraphQLError('Nested too deeply.'), 'GRAPHQL_PARSE_FAILED');
      throw error;
    }
  }

  /** The operation of that name of a text that was checked before; null when there is none, or it is not remembered. */
  known(source: string, name: string | null | undefined): Operation | null {
    const document = this.#bySource.get(source);
    return document === undefined ? null : (this.#named(document, name) ?? null);
  }

  /** What is wrong with a document, GRAPHQL_VALIDATION_FAILED; nothing for one that may be executed. */
  validate(document: DocumentNode): readonly GraphQLError[] {
    if (this.#operations.has(document)) return [];
    const tooMuch = validate(this.#schema, document, QUERY_LIMIT_RULES);
    const errors =
      tooMuch.length > 0 ? tooMuch : validate(this.#schema, document, specifiedRules, { hideSuggestions: true });
    if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
    this.#operations.set(document, extractOperations(document));
    this.#keep(document);
    return [];
  }

  /**
   * The operation of that name; without a name, the only one.
   * @throws GraphQLError, OPERATION_RESOLUTION_FAILURE when there is none or the choice is open.
   */
  selectOperation(document: DocumentNode, name: string | null | undefined): Operation {
    const operation = this.#named(document, name);
    if (operation !== undefined) return operation;
    throw new GraphQLError(
      name == null ? 'The document has several operations: name one of them.' : 'There is no operation of that name.',
      { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } },
    );
  }

  #named(document: DocumentNode, name: string | null | undefined): Operation | undefined {
    const operations = this.#operations.get(document);
    if (operations === undefined) throw new Error('The document was not validated.');
    const [operation, another] = operations.filter(({ node }) => name == null || node.name?.value === name);
    return another === undefined ? operation : undefined;
  }

  #keep(document: DocumentNode): void {
    const source = this.#sources.get(document);
    if (source === undefined || this.#bySource.has(source)) return;
    this.#bySource.set(source, document);
    this.#characters += source.length;
    for (const oldest of this.#bySource.keys()) {
      if (this.#bySource.size <= MAX_DOCUMENTS && this.#characters <= MAX_CHARACTERS) break;
      this.#bySource.delete(oldest);
      this.#characters -= oldest.length;
    }
  }
}

const withCode = (error: GraphQLError, code: string): GraphQLError =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    extensions: { code },
  });
