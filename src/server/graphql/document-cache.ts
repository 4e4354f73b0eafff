/** A cache of parsed and validated documents, so that a repeated document costs one look-up. */
import { GraphQLError, parse, specifiedRules, validate, type DocumentNode, type GraphQLSchema } from 'graphql';
import { LRUCache } from 'lru-cache';
import { extractOperations, type Operation } from './operation.ts';
import { MAX_DOCUMENT_LENGTH, MAX_TOKENS, QUERY_LIMIT_RULES } from './query-limits.ts';

const MAX_DOCUMENTS = 1_000;
/** Of source text. The parsed documents take about fifty times as much memory. */
const MAX_CHARACTERS = 1_000_000;

export class DocumentCache {
  readonly #schema: GraphQLSchema;
  /** Valid documents by their source text. */
  readonly #documentsBySource = new LRUCache<string, DocumentNode>({
    max: MAX_DOCUMENTS,
    maxSize: MAX_CHARACTERS,
    sizeCalculation: (_document, source) => source.length,
  });
  readonly #sources = new WeakMap<DocumentNode, string>();
  /** The operations of valid documents. */
  readonly #operations = new WeakMap<DocumentNode, readonly Operation[]>();

  constructor(schema: GraphQLSchema) {
    this.#schema = schema;
  }

  /** @throws GraphQLError GRAPHQL_PARSE_FAILED. */
  parseDocument(source: string): DocumentNode {
    const cached = this.#documentsBySource.get(source);
    if (cached !== undefined) return cached;
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
      // The parser recurses with every bracket: fewer tokens than are allowed can exhaust the stack.
      if (error instanceof RangeError) throw withCode(new GraphQLError('Nested too deeply.'), 'GRAPHQL_PARSE_FAILED');
      throw error;
    }
  }

  /** The operation of a cached document, or null if the source is not cached or the name matches no single one. */
  findCachedOperation(source: string, operationName: string | null | undefined): Operation | null {
    const document = this.#documentsBySource.peek(source);
    return document === undefined ? null : (this.#findOperation(document, operationName) ?? null);
  }

  /** Returns GRAPHQL_VALIDATION_FAILED errors, or none for a valid document, which is then cached. */
  validateDocument(document: DocumentNode): readonly GraphQLError[] {
    if (this.#operations.has(document)) return [];
    const limitErrors = validate(this.#schema, document, QUERY_LIMIT_RULES);
    const errors =
      limitErrors.length > 0
        ? limitErrors
        : validate(this.#schema, document, specifiedRules, { hideSuggestions: true });
    if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'));
    this.#operations.set(document, extractOperations(document));
    this.#cacheDocument(document);
    return [];
  }

  /**
   * Selects the operation of that name, or the only one if no name is given. The document must be validated.
   * @throws GraphQLError OPERATION_RESOLUTION_FAILURE if there is no such operation or more than one.
   */
  selectOperation(document: DocumentNode, operationName: string | null | undefined): Operation {
    const operation = this.#findOperation(document, operationName);
    if (operation !== undefined) return operation;
    throw new GraphQLError(
      operationName == null
        ? 'The document has several operations: operationName must name one of them.'
        : 'The document has no operation of that operationName.',
      { extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } },
    );
  }

  #findOperation(document: DocumentNode, operationName: string | null | undefined): Operation | undefined {
    const operations = this.#operations.get(document);
    if (operations === undefined) throw new Error('The document is not validated. Call validateDocument first.');
    const [operation, another] = operations.filter(
      ({ node }) => operationName == null || node.name?.value === operationName,
    );
    return another === undefined ? operation : undefined;
  }

  #cacheDocument(document: DocumentNode): void {
    const source = this.#sources.get(document);
    if (source === undefined || this.#documentsBySource.has(source)) return;
    this.#documentsBySource.set(source, document);
  }
}

const withCode = (error: GraphQLError, code: string): GraphQLError =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    extensions: { code },
  });
