const frozen = new WeakSet<object>();

/** Freezes a plain value through and through, so that a step that writes into what it was given throws. */
export const deepFreeze = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null || frozen.has(value)) return value;
  frozen.add(value);
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
};
