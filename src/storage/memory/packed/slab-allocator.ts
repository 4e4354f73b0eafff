/**
 * Blocks of bytes outside of the JavaScript heap, where the garbage collector has nothing to look at.
 * Blocks of about one size come from slabs of their own, so that a block that was freed fits the next
 * one; a slab that is empty goes back to the system.
 */

/** Where a block is, as one number. Never 0. */
export type Place = number;

const SLAB_BYTES = 1 << 20;
/** Sizes are multiples of it, so that 32 bits name every block of 64 GiB. */
const GRAIN = 16;
const OFFSETS = SLAB_BYTES / GRAIN;
const OFFSET_MASK = OFFSETS - 1;
const LARGEST = 32_768;

/** Every grain up to 1 KiB, then in steps of an eighth. */
const SIZES: readonly number[] = (() => {
  const sizes: number[] = [];
  for (let size = GRAIN; size <= LARGEST; size += size < 1_024 ? GRAIN : 2 ** Math.floor(Math.log2(size)) / 8) {
    sizes.push(size);
  }
  return sizes;
})();

/** The number of each size, by how many grains are asked for. */
const SIZE_FOR = (() => {
  const numbers = new Uint8Array(LARGEST / GRAIN + 1);
  let number = 0;
  for (let grains = 0; grains < numbers.length; grains++) {
    while ((SIZES[number] ?? LARGEST) < grains * GRAIN) number++;
    numbers[grains] = number;
  }
  return numbers;
})();

interface Slab {
  readonly number: number;
  readonly bytes: Buffer;
  readonly blockBytes: number;
  /** The other slabs of this size with room; null for a slab that holds one large block. */
  readonly withRoom: Slab[] | null;
  used: number;
  /** Byte offset of a block that was freed, which holds that of the next; -1: none. */
  free: number;
  /** From here on nothing was ever used. */
  fresh: number;
}

export class Slabs {
  /** By number; the first stands for nothing, so that no place is 0. */
  readonly #slabs: (Slab | undefined)[] = [undefined];
  readonly #vacant: number[] = [];
  readonly #withRoom: readonly Slab[][] = SIZES.map(() => []);

  /** A block of at least so many bytes, with whatever was in it before. */
  allocate(bytes: number): Place {
    if (bytes > LARGEST) return placeOf(this.#add(bytes, null), 0);
    const size = SIZE_FOR[Math.ceil(bytes / GRAIN)] ?? 0;
    const withRoom = this.#withRoom[size] ?? [];
    const slab = withRoom.at(-1) ?? this.#add(SIZES[size] ?? LARGEST, withRoom);
    let offset = slab.free;
    if (offset >= 0) slab.free = slab.bytes.readInt32LE(offset);
    else {
      offset = slab.fresh;
      slab.fresh += slab.blockBytes;
    }
    slab.used++;
    if (slab.free < 0 && slab.fresh + slab.blockBytes > slab.bytes.length) withRoom.pop();
    return placeOf(slab, offset);
  }

  free(place: Place): void {
    const slab = this.#slabOf(place);
    const { withRoom } = slab;
    slab.used--;
    if (withRoom === null) {
      this.#drop(slab);
      return;
    }
    const offset = this.offsetOf(place);
    const wasFull = slab.free < 0 && slab.fresh + slab.blockBytes > slab.bytes.length;
    slab.bytes.writeInt32LE(slab.free, offset);
    slab.free = offset;
    if (wasFull) withRoom.push(slab);
    // One is kept, so that a block that comes and goes does not bring a slab each time.
    if (slab.used === 0 && withRoom.length > 1) {
      withRoom.splice(withRoom.indexOf(slab), 1);
      this.#drop(slab);
    }
  }

  /** The bytes that the block is a part of. */
  bytesOf(place: Place): Buffer {
    return this.#slabOf(place).bytes;
  }

  /** Where in those bytes it begins. */
  offsetOf(place: Place): number {
    return (place & OFFSET_MASK) * GRAIN;
  }

  /** How many bytes fit into the block. */
  sizeOf(place: Place): number {
    return this.#slabOf(place).blockBytes;
  }

  /** Bytes taken from the system. */
  get capacity(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0);
  }

  #slabOf(place: Place): Slab {
    const slab = this.#slabs[place >>> 16];
    if (slab === undefined) throw new Error(`There is no block at ${place}.`);
    return slab;
  }

  #add(blockBytes: number, withRoom: Slab[] | null): Slab {
    const number = this.#vacant.pop() ?? this.#slabs.length;
    if (number > OFFSET_MASK) throw new Error('Memory for more users cannot be addressed.');
    const bytes = bufferOf(withRoom === null ? blockBytes : SLAB_BYTES);
    const slab = { number, bytes, blockBytes, withRoom, used: withRoom === null ? 1 : 0, free: -1, fresh: 0 };
    this.#slabs[number] = slab;
    withRoom?.push(slab);
    return slab;
  }

  #drop(slab: Slab): void {
    this.#slabs[slab.number] = undefined;
    this.#vacant.push(slab.number);
  }
}

/** Not Buffer.allocUnsafe: pages that nothing was written to take no memory. */
const bufferOf = (bytes: number): Buffer => Buffer.from(new ArrayBuffer(bytes));

const placeOf = (slab: Slab, offset: number): Place => ((slab.number << 16) | (offset / GRAIN)) >>> 0;
