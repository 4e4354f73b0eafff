import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slabs, type Place } from '../../../../../src/storage/memory/packed/slab-allocator.ts';

const MIB = 1 << 20;

describe('slabs', () => {
  it('give every block bytes of its own, as many as asked for, wherever others came and went', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 100_000 }));
    const turn = fc.oneof(fc.record({ allocate: size }), fc.record({ free: fc.nat() }));
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 80 }), (turns) => {
        const slabs = new Slabs();
        const blocks: { place: Place; size: number; mark: number }[] = [];
        let mark = 0;
        for (const each of turns) {
          if ('allocate' in each) {
            const place = slabs.allocate(each.allocate);
            expect(place).not.toBe(0);
            expect(slabs.sizeOf(place)).toBeGreaterThanOrEqual(each.allocate);
            mark = (mark + 1) % 256;
            slabs.bytesOf(place).fill(mark, slabs.offsetOf(place), slabs.offsetOf(place) + each.allocate);
            blocks.push({ place, size: each.allocate, mark });
          } else if (blocks.length > 0) {
            const [gone] = blocks.splice(each.free % blocks.length, 1);
            if (gone !== undefined) slabs.free(gone.place);
          }
          for (const block of blocks) {
            const start = slabs.offsetOf(block.place);
            const bytes = slabs.bytesOf(block.place).subarray(start, start + block.size);
            expect(bytes.equals(Buffer.alloc(block.size, block.mark))).toBe(true);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('waste little, and give back what nobody uses', () => {
    const slabs = new Slabs();
    const places = Array.from({ length: 100_000 }, () => slabs.allocate(150));
    expect(slabs.capacity).toBeLessThan(100_000 * 160 + MIB);
    for (const place of places) slabs.free(place);
    expect(slabs.capacity).toBe(MIB);
    for (let index = 0; index < 100_000; index++) slabs.allocate(150);
    expect(slabs.capacity).toBeLessThan(100_000 * 160 + MIB);
  });

  it('give a large block back at once', () => {
    const slabs = new Slabs();
    const place = slabs.allocate(5 * MIB);
    expect(slabs.capacity).toBe(5 * MIB);
    slabs.free(place);
    expect(slabs.capacity).toBe(0);
    expect(() => slabs.bytesOf(place)).toThrow('no block');
  });
});
