/** Suggests the known name that a misspelled name probably stands for. */

/** Levenshtein distance: the number of characters to add, remove or replace. */
const editDistance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[other.length] ?? 0;
};

/** The known name with the smallest edit distance, the first of several. Empty when no name is known. */
export const findClosestMatch = (name: string, knownNames: readonly string[]): string => {
  let best = '';
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of knownNames) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
};
