/** The object that a text says in JSON; null for any other text. */
export const jsonObject = (text: string): Readonly<Record<string, unknown>> | null => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // No JSON at all: no more of an object than a list is.
    return null;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
};
