/** The error for variables that do not match their types. */
import { GraphQLError } from 'graphql';

/** Reports the first problem and whether there are more. */
export class VariablesError extends GraphQLError {
  /** @param errors as `getVariableValues` returns them. */
  constructor(errors: readonly GraphQLError[]) {
    const [first] = errors;
    const more = errors.length > 1 ? ' (and more)' : '';
    super(`${first === undefined ? 'The variables are invalid.' : redactInputValue(first)}${more}`, {
      nodes: first?.nodes ?? null,
      extensions: { code: 'BAD_USER_INPUT' },
    });
  }
}

/** graphql prints the whole value of an input that lacks a field. It may contain a secret, and clients log errors. */
const redactInputValue = ({ message, originalError }: GraphQLError): string => {
  const reason = `; ${originalError?.message}`;
  if (!message.endsWith(reason)) return message;
  const [, start, path = ''] =
    /^(Variable "\$\w+" got) invalid value [[{].*?( at "[^"]*")?$/s.exec(message.slice(0, -reason.length)) ?? [];
  return start === undefined ? message : `${start} an invalid value${path}${reason}`;
};
