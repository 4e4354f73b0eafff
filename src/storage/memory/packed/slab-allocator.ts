/**
 * Allocates blocks of bytes outside the JavaScript heap, where the garbage collector does not scan them. Blocks of
 * similar size share slabs, so a freed block fits the next request. An empty slab is returned to the system.
 */

/** The address of a block as one number. Never 0. */
export type BlockAddress = number;

const SLAB_BYTES = 1 << 20;
/** Block sizes and offsets are multiples of this, so that 32 bits can address 64 GiB. */
const BLOCK_UNIT_BYTES = 16;
const UNITS_PER_SLAB = SLAB_BYTES / BLOCK_UNIT_BYTES;
const OFFSET_MASK = UNITS_PER_SLAB - 1;
const MAX_SLAB_BLOCK_BYTES = 32_768;

/** Every multiple of the unit up to 1 KiB, then steps of an eighth of the power of two below. */
const BLOCK_SIZES: readonly number[] = (() => {
  const sizes: number[] = [];
  for (
    let size = BLOCK_UNIT_BYTES;
    size <= MAX_SLAB_BLOCK_BYTES;
    size += size < 1_024 ? BLOCK_UNIT_BYTES : 2 ** Math.floor(Math.log2(size)) / 8
  ) {
    sizes.push(size);
  }
  return sizes;
})();

/** Index into `BLOCK_SIZES` by the number of units requested. */
const SIZE_CLASS_BY_UNITS = (() => {
  const numbers = new Uint8Array(MAX_SLAB_BLOCK_BYTES / BLOCK_UNIT_BYTES + 1);
  let number = 0;
  for (let grains = 0; grains < numbers.length; grains++) {
    while ((BLOCK_SIZES[number] ?? MAX_SLAB_BLOCK_BYTES) < grains * BLOCK_UNIT_BYTES) number++;
    numbers[grains] = number;
  }
  return numbers;
})();

interface Slab {
  readonly index: number;
  readonly bytes: Buffer;
  readonly blockBytes: number;
  /** All slabs of this block size with free blocks. Null for a slab that holds one large block. */
  readonly slabsWithRoom: Slab[] | null;
  usedBlocks: number;
  /** Offset of the first freed block, which holds the offset of the next; -1: none. */
  firstFreeOffset: number;
  /** Offset of the first block that was never used. */
  unusedOffset: number;
}

export class SlabAllocator {
  /** Slabs by index. Index 0 is unused, so that no address is 0. */
  readonly #slabs: (Slab | undefined)[] = [undefined];
  readonly #vacantIndexes: number[] = [];
  readonly #slabsWithRoom: readonly Slab[][] = BLOCK_SIZES.map(() => []);

  /** Allocates a block of at least `bytes` bytes. Its content is undefined. */
  allocateBlock(bytes: number): BlockAddress {
    if (bytes > MAX_SLAB_BLOCK_BYTES) return addressOf(this.#addSlab(bytes, null), 0);
    const size = SIZE_CLASS_BY_UNITS[Math.ceil(bytes / BLOCK_UNIT_BYTES)] ?? 0;
    const slabsWithRoom = this.#slabsWithRoom[size] ?? [];
    const slab = slabsWithRoom.at(-1) ?? this.#addSlab(BLOCK_SIZES[size] ?? MAX_SLAB_BLOCK_BYTES, slabsWithRoom);
    let offset = slab.firstFreeOffset;
    if (offset >= 0) slab.firstFreeOffset = slab.bytes.readInt32LE(offset);
    else {
      offset = slab.unusedOffset;
      slab.unusedOffset += slab.blockBytes;
    }
    slab.usedBlocks++;
    if (slab.firstFreeOffset < 0 && slab.unusedOffset + slab.blockBytes > slab.bytes.length) slabsWithRoom.pop();
    return addressOf(slab, offset);
  }

  freeBlock(address: BlockAddress): void {
    const slab = this.#findSlab(address);
    const { slabsWithRoom } = slab;
    slab.usedBlocks--;
    if (slabsWithRoom === null) {
      this.#releaseSlab(slab);
      return;
    }
    const offset = this.getOffset(address);
    const wasFull = slab.firstFreeOffset < 0 && slab.unusedOffset + slab.blockBytes > slab.bytes.length;
    slab.bytes.writeInt32LE(slab.firstFreeOffset, offset);
    slab.firstFreeOffset = offset;
    if (wasFull) slabsWithRoom.push(slab);
    // One empty slab is kept, so that repeated allocation and freeing does not create a slab each time.
    if (slab.usedBlocks === 0 && slabsWithRoom.length > 1) {
      slabsWithRoom.splice(slabsWithRoom.indexOf(slab), 1);
      this.#releaseSlab(slab);
    }
  }

  /** Returns the buffer that contains the block. */
  getBuffer(address: BlockAddress): Buffer {
    return this.#findSlab(address).bytes;
  }

  /** Returns the offset of the block in that buffer. */
  getOffset(address: BlockAddress): number {
    return (address & OFFSET_MASK) * BLOCK_UNIT_BYTES;
  }

  /** Returns the size of the block in bytes. */
  getBlockSize(address: BlockAddress): number {
    return this.#findSlab(address).blockBytes;
  }

  /** Bytes allocated from the system. */
  get capacityBytes(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0);
  }

  #findSlab(address: BlockAddress): Slab {
    const slab = this.#slabs[address >>> 16];
    if (slab === undefined) throw new Error(`No block exists at address ${address}.`);
    return slab;
  }

  #addSlab(blockBytes: number, slabsWithRoom: Slab[] | null): Slab {
    const index = this.#vacantIndexes.pop() ?? this.#slabs.length;
    if (index > OFFSET_MASK) throw new Error('The allocator cannot address more slabs.');
    const bytes = createBuffer(slabsWithRoom === null ? blockBytes : SLAB_BYTES);
    const slab: Slab = {
      index,
      bytes,
      blockBytes,
      slabsWithRoom,
      usedBlocks: slabsWithRoom === null ? 1 : 0,
      firstFreeOffset: -1,
      unusedOffset: 0,
    };
    this.#slabs[index] = slab;
    slabsWithRoom?.push(slab);
    return slab;
  }

  #releaseSlab(slab: Slab): void {
    this.#slabs[slab.index] = undefined;
    this.#vacantIndexes.push(slab.index);
  }
}

/** Not Buffer.allocUnsafe: pages of a new ArrayBuffer use no memory until they are written. */
const createBuffer = (bytes: number): Buffer => Buffer.from(new ArrayBuffer(bytes));

const addressOf = (slab: Slab, offset: number): BlockAddress =>
  ((slab.index << 16) | (offset / BLOCK_UNIT_BYTES)) >>> 0;
