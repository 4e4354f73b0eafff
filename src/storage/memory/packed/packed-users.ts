/** Users as bytes, found by their ids: no object, string or map entry for any of them. */
import type { UserId } from '../../../core/ids.ts';
import type { UserRecord } from '../../../core/records.ts';
import type { Status } from '../../../core/enums.ts';
import { RecordCodec, type Tally } from './record-codec.ts';
import { unpackSessions, type PackedSession, type SessionChunk } from './session-chunks.ts';
import { Slabs, type Place } from './slab-allocator.ts';
import { longer, SlotTable } from './hash-table.ts';

export class PackedUsers {
  readonly #codec = new RecordCodec();
  readonly #slabs = new Slabs();
  readonly #table = new SlotTable((slot, id) => {
    const place = this.#placeOf(slot);
    return this.#codec.hasId(this.#slabs.bytesOf(place), this.#slabs.offsetOf(place), id as UserId);
  });
  #places = new Uint32Array(1_024);

  get size(): number {
    return this.#table.size;
  }

  /** The user's slot, which is hers until she is removed; -1 when there is no such user. */
  find(id: UserId): number {
    return this.#table.find(id);
  }

  /** @param user who is not there yet. @returns her slot. */
  add(user: UserRecord): number {
    const slot = this.#table.add(user.id);
    if (slot >= this.#places.length) this.#places = longer(this.#places, slot + 1);
    const length = this.#codec.encode(user);
    this.#store(slot, this.#slabs.allocate(length), length);
    return slot;
  }

  /** The user in this slot is `user` from now on, who has the same id. */
  replace(slot: number, user: UserRecord): void {
    const length = this.#codec.encode(user);
    this.#store(slot, this.#roomFor(slot, length), length);
  }

  /** Puts one more session behind the user's others. @param tally counts it. */
  addSession(slot: number, { bytes: packed, start: first }: PackedSession, tally: Tally): void {
    const before = this.#placeOf(slot);
    const from = this.#slabs.bytesOf(before);
    const start = this.#slabs.offsetOf(before);
    const length = this.#codec.lengthOf(from, start);
    const added = this.#codec.sessionLength(packed, first);
    const place = fits(this.#slabs, before, length + added) ? before : this.#slabs.allocate(length + added);
    const bytes = this.#slabs.bytesOf(place);
    const offset = this.#slabs.offsetOf(place);
    if (place !== before) {
      from.copy(bytes, offset, start, start + length);
      this.#slabs.free(before);
      this.#places[slot] = place;
    }
    packed.copy(bytes, offset + length, first, first + added);
    this.#codec.addOne(bytes, offset);
    this.#codec.tallySession(packed, first, tally);
  }

  /** The sessions of a chunk, to be added while nothing but what came in chunks is there. */
  sessionsIn(chunk: SessionChunk): Iterable<PackedSession> {
    this.#codec.learn(chunk.timings);
    return unpackSessions(chunk, this.#codec);
  }

  /** @returns a new object each time. */
  read(slot: number): UserRecord {
    const place = this.#placeOf(slot);
    return this.#codec.decode(this.#slabs.bytesOf(place), this.#slabs.offsetOf(place));
  }

  idOf(slot: number): UserId {
    const place = this.#placeOf(slot);
    return this.#codec.idOf(this.#slabs.bytesOf(place), this.#slabs.offsetOf(place));
  }

  /** As `RecordCodec.tally`. */
  tally(slot: number, tally: Tally): Status {
    const place = this.#placeOf(slot);
    return this.#codec.tally(this.#slabs.bytesOf(place), this.#slabs.offsetOf(place), tally);
  }

  remove(slot: number): void {
    // The table asks for her id no more, once she is out of it.
    this.#table.remove(slot);
    this.#slabs.free(this.#placeOf(slot));
    this.#places[slot] = 0;
  }

  #placeOf(slot: number): Place {
    return this.#places[slot] ?? 0;
  }

  /** The user's own block where it is the right size for so many bytes, another one otherwise. */
  #roomFor(slot: number, length: number): Place {
    const place = this.#placeOf(slot);
    if (fits(this.#slabs, place, length)) return place;
    this.#slabs.free(place);
    return this.#slabs.allocate(length);
  }

  #store(slot: number, place: Place, length: number): void {
    this.#places[slot] = place;
    this.#codec.out.bytes.copy(this.#slabs.bytesOf(place), this.#slabs.offsetOf(place), 0, length);
  }
}

/** A little smaller is no reason to move. */
const SLACK = 32;

const fits = (slabs: Slabs, place: Place, length: number): boolean => {
  const size = slabs.sizeOf(place);
  return length <= size && size - length < SLACK + (size >> 3);
};
