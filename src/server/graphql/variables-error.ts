/** What a client is told of variables that do not fit. */
import { GraphQLError } from 'graphql';

/** Several things may be wrong with them; a client is told of the first, and how many more there are. */
export class VariablesError extends GraphQLError {
  /** @param errors as `getVariableValues` tells them. */
  constructor(errors: readonly GraphQLError[]) {
    const [first] = errors;
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super(`${first === undefined ? 'The variables do not fit.' : withoutParts(first)}${more}`, {
      nodes: first?.nodes ?? null,
      extensions: { code: 'BAD_USER_INPUT' },
    });
  }
}

/** An input that lacks a field is written out whole by graphql. There may be a secret in it, and clients log errors. */
const withoutParts = ({ message, originalError }: GraphQLError): string => {
  const why = `; ${originalError?.message}`;
  if (!message.endsWith(why)) return message;
  const [, start, path = ''] =
    /^(Variable "\$\w+" got) invalid value [[{].*?( at "[^"]*")?$/s.exec(message.slice(0, -why.length)) ?? [];
  return start === undefined ? message : `${start} an invalid value${path}${why}`;
};
