/** User records packed as bytes, found by user id. It keeps no object, string or map entry per user. */
import type { UserId } from '../../../core/ids.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { Status } from '../../../core/enums.ts';
import { RecordCodec, type SessionCounter } from './record-codec.ts';
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

  /** Returns the slot of the user, or -1 if the user is unknown. A user keeps the slot until they are removed. */
  findSlot(id: UserId): number {
    return this.#table.findSlot(id);
  }

  /**
   * Adds a user who is not stored yet.
   * @returns the new slot.
   */
  addUser(user: UserRecord): number {
    const slot = this.#table.assignSlot(user.id);
    if (slot >= this.#addresses.length) this.#addresses = growArray(this.#addresses, slot + 1);
    const length = this.#codec.encodeUser(user);
    this.#storeEncoded(slot, this.#allocator.allocateBlock(length), length);
    return slot;
  }

  /** Replaces the record in this slot. The user id must be the same. */
  replaceUser(slot: number, user: UserRecord): void {
    const length = this.#codec.encodeUser(user);
    this.#storeEncoded(slot, this.#reallocate(slot, length), length);
  }

  /**
   * Appends a session to the user's record.
   * @param countSession called with the added session.
   */
  addSession(slot: number, session: PackedSession, countSession: SessionCounter): void {
    const before = this.#addressOf(slot);
    const from = this.#allocator.getBuffer(before);
    const start = this.#allocator.getOffset(before);
    const length = this.#codec.encodedUserLength(from, start);
    const added = this.#codec.encodedSessionLength(session.bytes, session.offset);
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
    session.bytes.copy(bytes, offset + length, session.offset, session.offset + added);
    this.#codec.incrementSessionCount(bytes, offset);
    this.#codec.countEncodedSession(session.bytes, session.offset, countSession);
  }

  /**
   * Returns the sessions of a chunk. Only valid while all stored data came from chunks, because they share the
   * timings table.
   */
  readChunkSessions(chunk: SessionChunk): Iterable<PackedSession> {
    this.#codec.addSharedTimings(chunk.sharedTimings);
    return unpackSessions(chunk, this.#codec);
  }

  /** @returns a new object on each call. */
  readUser(slot: number): UserRecord {
    const address = this.#addressOf(slot);
    return this.#codec.decodeUser(this.#allocator.getBuffer(address), this.#allocator.getOffset(address));
  }

  readUserId(slot: number): UserId {
    const address = this.#addressOf(slot);
    return this.#codec.readUserId(this.#allocator.getBuffer(address), this.#allocator.getOffset(address));
  }

  /**
   * Calls `countSession` for each session of the user.
   * @returns the user's status.
   */
  countSessionsOfSlot(slot: number, countSession: SessionCounter): Status {
    const address = this.#addressOf(slot);
    return this.#codec.countEncodedSessions(
      this.#allocator.getBuffer(address),
      this.#allocator.getOffset(address),
      countSession,
    );
  }

  removeUser(slot: number): void {
    // The table compares ids only while the slot is in use.
    this.#table.freeSlot(slot);
    this.#allocator.freeBlock(this.#addressOf(slot));
    this.#addresses[slot] = 0;
  }

  #addressOf(slot: number): BlockAddress {
    return this.#addresses[slot] ?? 0;
  }

  /** Returns the user's block if it has a suitable size for `length` bytes, otherwise a new block. */
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

/** A block is kept if the record is smaller by less than this plus an eighth of the block. */
const BLOCK_SLACK_BYTES = 32;

const fitsBlock = (slabs: SlabAllocator, address: BlockAddress, length: number): boolean => {
  const size = slabs.getBlockSize(address);
  return length <= size && size - length < BLOCK_SLACK_BYTES + (size >> 3);
};
