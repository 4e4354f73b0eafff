/**
 * Authorization of root fields. Every field of Query, Mutation and Subscription declares its `access`, and the schema
 * builder puts the check in front of its resolver. A field without `access` neither compiles nor builds.
 */
import SchemaBuilder, {
  BasePlugin,
  type FieldNullability,
  type InputFieldMap,
  type PothosOutputFieldConfig,
  type SchemaTypes,
  type TypeParam,
} from '@pothos/core';
import type { GraphQLFieldResolver } from 'graphql';
import {
  parseUserIds,
  requireBackend,
  requireJwtCaller,
  requireWatchAccess,
  requireSession,
  requireAuthenticated,
  type Caller,
} from '../app/auth/caller.ts';
import { unauthenticatedError } from '../core/errors.ts';
import type { UserId } from '../core/ids.ts';
import type { ApiContext, OperationRoot } from './context.ts';

const CHECKS = {
  /** Users, sessions and backends. `checkRequestedUsers` checks which users they may query. */
  authenticated: requireAuthenticated,
  /** A user with a JWT. */
  jwt: requireJwtCaller,
  /** A session that acts for itself. */
  session: requireSession,
  /** Like `session`, but a backend receives UNAUTHENTICATED instead of FORBIDDEN. */
  ownSession: (caller: Caller): void => {
    if (caller.kind === 'backend') throw unauthenticatedError('An API key has no session.');
    requireSession(caller);
  },
  backend: requireBackend,
} satisfies Record<string, (caller: Caller) => unknown>;

export type AccessRule = keyof typeof CHECKS;

/**
 * Checks the users that an operation requests: first their number, then the ids, then whether the caller may see them.
 * @param root counts the users that all fields of a query request together. A subscription has only one field.
 * @throws TOO_MANY_USERS, BAD_USER_INPUT or FORBIDDEN.
 */
export const authorizeRequestedUsers = (
  context: ApiContext,
  ids: readonly string[],
  root: OperationRoot = { requestedUsers: 0 },
): readonly UserId[] => {
  const requested = parseUserIds(ids, root.requestedUsers);
  root.requestedUsers += requested.length;
  requireWatchAccess(context.caller, requested, context.application.visibility);
  return requested;
};

interface AccessOption {
  /** The callers that may use this field. */
  access: AccessRule;
}

/* eslint-disable @typescript-eslint/no-namespace, @typescript-eslint/no-unused-vars --
   A Pothos plugin adds an option in this way. The type parameters must be those of the original interfaces. */
declare global {
  export namespace PothosSchemaTypes {
    interface Plugins<Types extends SchemaTypes> {
      access: AccessPlugin<Types>;
    }
    interface QueryFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveReturnShape,
    > {
      access: AccessRule;
    }
    interface MutationFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveReturnShape,
    > {
      access: AccessRule;
    }
    interface SubscriptionFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveShape,
      ResolveReturnShape,
    > {
      access: AccessRule;
    }
  }
}
/* eslint-enable @typescript-eslint/no-namespace, @typescript-eslint/no-unused-vars */

const ROOT_TYPES: readonly string[] = ['Query', 'Mutation', 'Subscription'];

export class AccessPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  /** Copies the declaration to the extensions of the built field, where tests read it. */
  override onOutputFieldConfig(field: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    if (!ROOT_TYPES.includes(field.kind)) return field;
    return { ...field, extensions: { ...field.extensions, access: declaredAccess(field) } };
  }

  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    // `wrapSubscribe` checks subscriptions. Their resolvers only convert events of a permitted subscription.
    return field.kind === 'Query' || field.kind === 'Mutation'
      ? withAccessCheck(resolve, declaredAccess(field))
      : resolve;
  }

  override wrapSubscribe(
    subscribe: GraphQLFieldResolver<unknown, Types['Context'], object> | undefined,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> | undefined {
    return field.kind === 'Subscription' && subscribe ? withAccessCheck(subscribe, declaredAccess(field)) : subscribe;
  }
}

const declaredAccess = <Types extends SchemaTypes>(field: PothosOutputFieldConfig<Types>): AccessRule => {
  const { access } = field.pothosOptions as Partial<AccessOption>;
  if (access === undefined || !Object.hasOwn(CHECKS, access)) {
    throw new Error(`${field.parentType}.${field.name} must declare its callers with the option access.`);
  }
  return access;
};

const withAccessCheck =
  <Context extends object>(
    resolve: GraphQLFieldResolver<unknown, Context, object>,
    access: AccessRule,
  ): GraphQLFieldResolver<unknown, Context, object> =>
  (root, args, context, info) => {
    // The plugin is generic over the context. This schema is only executed with an ApiContext.
    CHECKS[access]((context as unknown as ApiContext).caller);
    return resolve(root, args, context, info);
  };

SchemaBuilder.registerPlugin('access', AccessPlugin);
