import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashId, growArray, HashTable } from '../../../../../src/storage/memory/packed/hash-table.ts';

/** A table with its ids, and a map as the model of the expected content. */
const createTable = (hash?: (id: string) => number) => {
  const ids: string[] = [];
  const table = new HashTable((slot, id) => ids[slot] === id, hash);
  const model = new Map<string, number>();
  return {
    table,
    model,
    add: (id: string): void => {
      const slot = table.assignSlot(id);
      expect([...model.values()]).not.toContain(slot);
      ids[slot] = id;
      model.set(id, slot);
    },
    remove: (id: string): void => {
      table.freeSlot(model.get(id) ?? -1);
      model.delete(id);
    },
  };
};

describe('HashTable', () => {
  it('finds exactly the ids it contains after any insertions and removals, even if all hashes collide', () => {
    const hashes: (((id: string) => number) | undefined)[] = [
      undefined,
      () => 7,
      (id) => id.charCodeAt(0) & 3,
      // All at the end of a segment, so that entries wrap to its beginning.
      (id) => 0xff_00_00_0e | (id.charCodeAt(0) & 1),
    ];
    const all = Array.from({ length: 40 }, (_, index) => String.fromCharCode(48 + index));
    fc.assert(
      fc.property(
        fc.constantFrom(...hashes),
        fc.array(fc.constantFrom(...all), { maxLength: 200 }),
        (hash, operations) => {
          const { table, model, add, remove } = createTable(hash);
          for (const id of operations) {
            if (model.has(id)) remove(id);
            else add(id);
            expect(table.size).toBe(model.size);
            for (const each of all) expect(table.findSlot(each)).toBe(model.get(each) ?? -1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('reuses the slots of removed ids', () => {
    const { table, add, remove, model } = createTable();
    for (let round = 0; round < 5; round++) {
      for (let index = 0; index < 100; index++) add(`user ${round} ${index}`);
      for (const id of [...model.keys()]) remove(id);
    }
    expect(table.slotCount).toBe(100);
  });

  it('grows to many users', () => {
    const table = new HashTable((slot, id) => id === `user ${slot}`);
    for (let index = 0; index < 50_000; index++) expect(table.assignSlot(`user ${index}`)).toBe(index);
    for (let index = 0; index < 50_000; index++) expect(table.findSlot(`user ${index}`)).toBe(index);
    expect(table.findSlot('user 50000')).toBe(-1);
  });

  it('distributes similar ids over the segments', () => {
    const segments = new Set(Array.from({ length: 2_000 }, (_, index) => hashId(`user ${index}`) >>> 24));
    expect(segments.size).toBeGreaterThan(240);
  });

  it('grows arrays by at least half, so that many small steps cost little', () => {
    expect(growArray(Int32Array.of(1, 2, 3, 4), 5)).toEqual(Int32Array.of(1, 2, 3, 4, 0, 0));
    expect(growArray(Float64Array.of(0.5), 9)).toHaveLength(9);
  });
});
