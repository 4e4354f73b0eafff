/** @returns null: the text is not a JSON object. */
export const parseJsonObject = (text: string): Readonly<Record<string, unknown>> | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Invalid JSON gets the same result as JSON that is not an object.
    return null;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
};
