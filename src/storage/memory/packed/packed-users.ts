/** Users as bytes, found by their ids: no object, string or map entry for any of them. */
import type { UserId } from '../../../core/ids.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { Status } from '../../../core/enums.ts';
import { RecordCodec, type SessionVisitor } from './record-codec.ts';
import { unpackSessions, type PackedSession, type SessionChunk } from './session-chunks.ts';
import { SlabAllocator, type BlockAddress } from './slab-allocator.ts';
import { growArray, HashTable } from './hash-table.ts';

export class PackedUsers {
  readonly #codec = new RecordCodec();
  readonly #allocator = new SlabAllocator();
  readonly #table = new HashTable((slot, id) => {
    const address = this.#addressOf(slot);
    return this.#codec.matchesUserId(
      this.#allocator.getBuffer(address),
      this.#allocator.getOffset(address),
      id as UserId,
    );
  });
  #addresses = new Uint32Array(1_024);

  get size(): number {
    return this.#table.size;
  }

  /** The user's slot, which is hers until she is removed; -1 when there is no such user. */
  findSlot(id: UserId): number {
    return this.#table.findSlot(id);
  }

  /** @param user who is not there yet. @returns her slot. */
  addUser(user: UserRecord): number {
    const slot = this.#table.assignSlot(user.id);
    if (slot >= this.#addresses.length) this.#addresses = growArray(this.#addresses, slot + 1);
    const length = this.#codec.encodeUser(user);
    this.#storeEncoded(slot, this.#allocator.allocateBlock(length), length);
    return slot;
  }

  /** The user in this slot is `user` from now on, who has the same id. */
  replaceUser(slot: number, user: UserRecord): void {
    const length = this.#codec.encodeUser(user);
    this.#storeEncoded(slot, this.#reallocate(slot, length), length);
  }

  /** Puts one more session behind the user's others. @param visitSession counts it. */
  addSession(slot: number, { bytes: packed, offset: first }: PackedSession, visitSession: SessionVisitor): void {
    const before = this.#addressOf(slot);
    const from = this.#allocator.getBuffer(before);
    const start = this.#allocator.getOffset(before);
    const length = this.#codec.encodedUserLength(from, start);
    const added = this.#codec.encodedSessionLength(packed, first);
    const address = fitsBlock(this.#allocator, before, length + added)
      ? before
      : this.#allocator.allocateBlock(length + added);
    const bytes = this.#allocator.getBuffer(address);
    const offset = this.#allocator.getOffset(address);
    if (address !== before) {
      from.copy(bytes, offset, start, start + length);
      this.#allocator.freeBlock(before);
      this.#addresses[slot] = address;
    }
    packed.copy(bytes, offset + length, first, first + added);
    this.#codec.incrementSessionCount(bytes, offset);
    this.#codec.visitSession(packed, first, visitSession);
  }

  /** The sessions of a chunk, to be added while nothing but what came in chunks is there. */
  unpackSessions(chunk: SessionChunk): Iterable<PackedSession> {
    this.#codec.addSharedTimings(chunk.sharedTimings);
    return unpackSessions(chunk, this.#codec);
  }

  /** @returns a new object each time. */
  readUser(slot: number): UserRecord {
    const address = this.#addressOf(slot);
    return this.#codec.decodeUser(this.#allocator.getBuffer(address), this.#allocator.getOffset(address));
  }

  readUserId(slot: number): UserId {
    const address = this.#addressOf(slot);
    return this.#codec.readUserId(this.#allocator.getBuffer(address), this.#allocator.getOffset(address));
  }

  /** As `RecordCodec.tally`. */
  visitSessions(slot: number, visitSession: SessionVisitor): Status {
    const address = this.#addressOf(slot);
    return this.#codec.visitSessions(
      this.#allocator.getBuffer(address),
      this.#allocator.getOffset(address),
      visitSession,
    );
  }

  removeUser(slot: number): void {
    // The table asks for her id no more, once she is out of it.
    this.#table.freeSlot(slot);
    this.#allocator.freeBlock(this.#addressOf(slot));
    this.#addresses[slot] = 0;
  }

  #addressOf(slot: number): BlockAddress {
    return this.#addresses[slot] ?? 0;
  }

  /** The user's own block where it is the right size for so many bytes, another one otherwise. */
  #reallocate(slot: number, length: number): BlockAddress {
    const address = this.#addressOf(slot);
    if (fitsBlock(this.#allocator, address, length)) return address;
    this.#allocator.freeBlock(address);
    return this.#allocator.allocateBlock(length);
  }

  #storeEncoded(slot: number, address: BlockAddress, length: number): void {
    this.#addresses[slot] = address;
    this.#codec.output.bytes.copy(this.#allocator.getBuffer(address), this.#allocator.getOffset(address), 0, length);
  }
}

/** A little smaller is no reason to move. */
const BLOCK_SLACK_BYTES = 32;

const fitsBlock = (slabs: SlabAllocator, address: BlockAddress, length: number): boolean => {
  const size = slabs.getBlockSize(address);
  return length <= size && size - length < BLOCK_SLACK_BYTES + (size >> 3);
};
