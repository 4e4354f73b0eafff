// What may be wrong with the printed schema: it is not the committed one, it departs from the published contract, or
// it leaves something undescribed. Pure functions over SDL, so that a test can show each of them failing.
import {
  astFromValue,
  buildSchema,
  DangerousChangeType,
  findBreakingChanges,
  findDangerousChanges,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isScalarType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
  print,
} from 'graphql';

/** Parts of the schema that a client of the contract can leave out. */
const HARMLESS = [DangerousChangeType.OPTIONAL_ARG_ADDED, DangerousChangeType.OPTIONAL_INPUT_FIELD_ADDED];

/**
 * @param {{ printed: string, committed: string, contract: string }} sdl
 * @returns {string[]} empty when all is well
 */
export function problems({ printed, committed, contract }) {
  const schema = buildSchema(printed);
  return [
    ...(committed === printed
      ? []
      : ['schema.graphql is not what the code prints. Run `npm run schema:print` and commit the result.']),
    ...departures(buildSchema(contract), schema),
    ...undescribed(schema),
  ];
}

/**
 * Where `schema` does not say exactly what `contract` says. Stricter than "not breaking": a field that turned from
 * nullable to non-null, or an argument that turned from required to optional, breaks no client, and is still not the
 * contract. What the schema adds must not be required.
 *
 * @param {import('graphql').GraphQLSchema} contract
 * @param {import('graphql').GraphQLSchema} schema
 */
export function departures(contract, schema) {
  const found = [
    ...findBreakingChanges(contract, schema),
    ...findDangerousChanges(contract, schema).filter(({ type }) => !HARMLESS.includes(type)),
  ].map(({ description }) => description);
  /** @param {string} where @param {unknown} promised @param {unknown} is */
  const same = (where, promised, is) => {
    if (String(promised) !== String(is))
      found.push(`${where} is ${String(is)}; the contract says ${String(promised)}.`);
  };
  /** @param {string} where @param {Deprecable} promised @param {Deprecable} is */
  const asCurrent = (where, promised, is) =>
    same(`The deprecation of ${where}`, promised.deprecationReason, is.deprecationReason);

  same('The query root', contract.getQueryType(), schema.getQueryType());
  same('The mutation root', contract.getMutationType(), schema.getMutationType());
  same('The subscription root', contract.getSubscriptionType(), schema.getSubscriptionType());

  const promisedTypes = ownTypes(contract);
  if (promisedTypes.length === 0) throw new Error('The contract has no types: nothing was compared.');
  for (const promised of promisedTypes) {
    const actual = schema.getType(promised.name);
    // A type, field, argument or value that is missing is a breaking change, found above.
    if (isFielded(promised) && actual && isFielded(actual)) {
      for (const [field, is] of pairs(promised.getFields(), actual.getFields())) {
        const where = `${promised.name}.${field.name}`;
        same(where, field.type, is.type);
        asCurrent(where, field, is);
        for (const argument of field.args) {
          const given = is.args.find(({ name }) => name === argument.name);
          if (given) same(`${where}(${argument.name}:)`, signature(argument), signature(given));
          if (given) asCurrent(`${where}(${argument.name}:)`, argument, given);
        }
      }
    } else if (isInputObjectType(promised) && isInputObjectType(actual)) {
      for (const [field, is] of pairs(promised.getFields(), actual.getFields())) {
        same(`${promised.name}.${field.name}`, signature(field), signature(is));
        asCurrent(`${promised.name}.${field.name}`, field, is);
      }
    } else if (isEnumType(promised) && isEnumType(actual)) {
      for (const value of promised.getValues()) {
        const is = actual.getValue(value.name);
        if (is) asCurrent(`${promised.name}.${value.name}`, value, is);
      }
    } else if (isScalarType(promised) && isScalarType(actual) && promised.specifiedByURL) {
      same(`@specifiedBy of ${promised.name}`, promised.specifiedByURL, actual.specifiedByURL);
    }
  }
  return [...new Set(found)];
}

/**
 * Every type, field, argument, input field, enum value and directive without a description.
 *
 * @param {import('graphql').GraphQLSchema} schema
 */
export function undescribed(schema) {
  /** @type {string[]} */
  const found = [];
  /** @param {string} where @param {{ description?: string | null | undefined }} thing */
  const look = (where, { description }) => {
    if (!description?.trim()) found.push(`${where} has no description.`);
  };
  for (const type of ownTypes(schema)) {
    look(type.name, type);
    if (isFielded(type)) {
      for (const field of Object.values(type.getFields())) {
        look(`${type.name}.${field.name}`, field);
        for (const argument of field.args) look(`${type.name}.${field.name}(${argument.name}:)`, argument);
      }
    } else if (isInputObjectType(type)) {
      for (const field of Object.values(type.getFields())) look(`${type.name}.${field.name}`, field);
    } else if (isEnumType(type)) {
      for (const value of type.getValues()) look(`${type.name}.${value.name}`, value);
    }
  }
  for (const directive of schema.getDirectives().filter((candidate) => !isSpecifiedDirective(candidate))) {
    look(`@${directive.name}`, directive);
    for (const argument of directive.args) look(`@${directive.name}(${argument.name}:)`, argument);
  }
  return found;
}

/** @typedef {{ deprecationReason?: string | null | undefined }} Deprecable */

/** @param {import('graphql').GraphQLSchema} schema */
function ownTypes(schema) {
  return Object.values(schema.getTypeMap()).filter(
    (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
  );
}

/**
 * @param {import('graphql').GraphQLNamedType} type
 * @returns {type is import('graphql').GraphQLObjectType | import('graphql').GraphQLInterfaceType}
 */
function isFielded(type) {
  return isObjectType(type) || isInterfaceType(type);
}

/**
 * What is in both, side by side.
 *
 * @template Field
 * @param {Record<string, Field>} promised
 * @param {Record<string, Field>} actual
 * @returns {[Field, Field][]}
 */
function pairs(promised, actual) {
  return Object.entries(promised).flatMap(([name, field]) => {
    const is = actual[name];
    return is === undefined ? [] : [/** @type {[Field, Field]} */ ([field, is])];
  });
}

/** @param {import('graphql').GraphQLArgument | import('graphql').GraphQLInputField} value */
function signature(value) {
  const ast = value.defaultValue === undefined ? undefined : astFromValue(value.defaultValue, value.type);
  return `${value.type}${ast ? ` = ${print(ast)}` : ''}`;
}
