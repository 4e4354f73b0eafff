import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SlabAllocator, type BlockAddress } from '../../../../../src/storage/memory/packed/slab-allocator.ts';

const MIB = 1 << 20;

describe('SlabAllocator', () => {
  it('gives each block its own bytes of the requested size, in any sequence of allocations', () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1, max: 100_000 }));
    const operation = fc.oneof(fc.record({ allocate: size }), fc.record({ free: fc.nat() }));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 80 }), (operations) => {
        const slabs = new SlabAllocator();
        const blocks: { place: BlockAddress; size: number; mark: number }[] = [];
        let mark = 0;
        for (const each of operations) {
          if ('allocate' in each) {
            const place = slabs.allocateBlock(each.allocate);
            expect(place).not.toBe(0);
            expect(slabs.getBlockSize(place)).toBeGreaterThanOrEqual(each.allocate);
            mark = (mark + 1) % 256;
            slabs.getBuffer(place).fill(mark, slabs.getOffset(place), slabs.getOffset(place) + each.allocate);
            blocks.push({ place, size: each.allocate, mark });
          } else if (blocks.length > 0) {
            const [freed] = blocks.splice(each.free % blocks.length, 1);
            if (freed !== undefined) slabs.freeBlock(freed.place);
          }
          for (const block of blocks) {
            const start = slabs.getOffset(block.place);
            const bytes = slabs.getBuffer(block.place).subarray(start, start + block.size);
            expect(bytes.equals(Buffer.alloc(block.size, block.mark))).toBe(true);
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('wastes little memory, and returns unused slabs to the system', () => {
    const slabs = new SlabAllocator();
    const places = Array.from({ length: 100_000 }, () => slabs.allocateBlock(150));
    expect(slabs.capacityBytes).toBeLessThan(100_000 * 160 + MIB);
    for (const place of places) slabs.freeBlock(place);
    expect(slabs.capacityBytes).toBe(MIB);
    for (let index = 0; index < 100_000; index++) slabs.allocateBlock(150);
    expect(slabs.capacityBytes).toBeLessThan(100_000 * 160 + MIB);
  });

  it('returns a large block to the system at once', () => {
    const slabs = new SlabAllocator();
    const place = slabs.allocateBlock(5 * MIB);
    expect(slabs.capacityBytes).toBe(5 * MIB);
    slabs.freeBlock(place);
    expect(slabs.capacityBytes).toBe(0);
    expect(() => slabs.getBuffer(place)).toThrow('No block exists');
  });
});
