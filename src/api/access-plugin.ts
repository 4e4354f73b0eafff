/**
 * Who may call which root field, enforced in one place: every field of Query, Mutation and
 * Subscription declares its `access`, and building the schema puts the check in front of it. A field
 * that declares none does not compile, and does not build either.
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
  /** Users, sessions and backends; about whom they may ask is looked at by `askedUsers`. */
  somebody: requireAuthenticated,
  /** A user, with her JWT. */
  user: requireJwtCaller,
  /** A session, in its own name. */
  session: requireSession,
  /** The same, but where it is the question who is asking, whoever has no session has not answered it. */
  self: (caller: Caller): void => {
    if (caller.kind === 'backend') throw unauthenticatedError('An API key has no session to show.');
    requireSession(caller);
  },
  backend: requireBackend,
} satisfies Record<string, (caller: Caller) => unknown>;

export type Access = keyof typeof CHECKS;

/**
 * The users a caller asks about: counted, then read, then checked for visibility, in this order.
 * @param root of a query, whose other fields ask too; a subscription has one field.
 * @throws TOO_MANY_USERS, BAD_USER_INPUT, FORBIDDEN.
 */
export const checkRequestedUsers = (
  context: ApiContext,
  ids: readonly string[],
  root: OperationRoot = { requestedUsers: 0 },
): readonly UserId[] => {
  const asked = parseUserIds(ids, root.requestedUsers);
  root.requestedUsers += asked.length;
  requireWatchAccess(context.caller, asked, context.application.visibility);
  return asked;
};

interface WithAccess {
  /** Who may call this field. */
  access: Access;
}

/* eslint-disable @typescript-eslint/no-namespace, @typescript-eslint/no-unused-vars --
   This is how Pothos lets a plugin add an option; the type parameters must be those of the original. */
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
      access: Access;
    }
    interface MutationFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveReturnShape,
    > {
      access: Access;
    }
    interface SubscriptionFieldOptions<
      Types extends SchemaTypes,
      Type extends TypeParam<Types>,
      Nullable extends FieldNullability<Type>,
      Args extends InputFieldMap,
      ResolveShape,
      ResolveReturnShape,
    > {
      access: Access;
    }
  }
}
/* eslint-enable @typescript-eslint/no-namespace, @typescript-eslint/no-unused-vars */

const ROOTS: readonly string[] = ['Query', 'Mutation', 'Subscription'];

export class AccessPlugin<Types extends SchemaTypes> extends BasePlugin<Types> {
  /** Shows the declaration on the built field, where a test can read it. */
  override onOutputFieldConfig(field: PothosOutputFieldConfig<Types>): PothosOutputFieldConfig<Types> {
    if (!ROOTS.includes(field.kind)) return field;
    return { ...field, extensions: { ...field.extensions, access: accessOf(field) } };
  }

  override wrapResolve(
    resolve: GraphQLFieldResolver<unknown, Types['Context'], object>,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> {
    // The resolver of a subscription only reshapes what an allowed subscription was told.
    return field.kind === 'Query' || field.kind === 'Mutation' ? guarded(resolve, accessOf(field)) : resolve;
  }

  override wrapSubscribe(
    subscribe: GraphQLFieldResolver<unknown, Types['Context'], object> | undefined,
    field: PothosOutputFieldConfig<Types>,
  ): GraphQLFieldResolver<unknown, Types['Context'], object> | undefined {
    return field.kind === 'Subscription' && subscribe ? guarded(subscribe, accessOf(field)) : subscribe;
  }
}

const accessOf = <Types extends SchemaTypes>(field: PothosOutputFieldConfig<Types>): Access => {
  const { access } = field.pothosOptions as Partial<WithAccess>;
  if (access === undefined || !Object.hasOwn(CHECKS, access)) {
    throw new Error(`${field.parentType}.${field.name} does not say who may call it (access).`);
  }
  return access;
};

const guarded =
  <Context extends object>(
    resolve: GraphQLFieldResolver<unknown, Context, object>,
    access: Access,
  ): GraphQLFieldResolver<unknown, Context, object> =>
  (root, args, context, info) => {
    // A plugin is written for any context; ours is the only one this schema is executed with.
    CHECKS[access]((context as unknown as ApiContext).caller);
    return resolve(root, args, context, info);
  };

SchemaBuilder.registerPlugin('access', AccessPlugin);
