/**
 * The items without which `fails` would hold no more: takes one away after another for as long as the
 * failure remains. What is left fails, and fails no longer when any single item is missing.
 */
export const shortest = <T>(items: readonly T[], fails: (items: readonly T[]) => boolean): readonly T[] => {
  let kept = items;
  for (let before = -1; before !== kept.length;) {
    before = kept.length;
    for (let index = kept.length - 1; index >= 0; index--) {
      const without = kept.toSpliced(index, 1);
      if (fails(without)) kept = without;
    }
  }
  return kept;
};
