/** One end's half of a session: numbers what goes out, and keeps it until the other end has seen it. */

import { ProtocolError } from "./errors.js";

/** @typedef {import("./protocol.js").Message} Message */

/** Messages that go into one frame at most. */
const BATCH = 256;
/** Messages that may wait for the other end to see them. */
const KEPT = 4096;
/** How many messages may arrive before the other end is told. */
const TELL_EVERY = 64;

/** Two numbered sequences of messages; numbers begin with 1. */
export class Stream {
  /** How many of the other end's messages have arrived. */
  seen = 0;
  /** @type {Message[]} */
  #unsent = [];
  /** @type {Message[]} */
  #unseen = [];
  #sent = 0;
  #told = 0;

  /** Whether whoever puts messages should wait for the other end. */
  get isFull() {
    return this.#unsent.length + this.#unseen.length >= KEPT;
  }

  /** Whether there is something to take. */
  get hasUnsent() {
    return this.#unsent.length > 0;
  }

  /** Whether a frame is due even if there is nothing else to say. */
  get owesNews() {
    return this.seen - this.#told >= TELL_EVERY;
  }

  /** Let `message` go with the next frame; its number. @param {Message} message */
  put(message) {
    return this.#sent + this.#unsent.push(message);
  }

  /** The next frame, of at most `limit` bytes, as JSON text; maybe without messages. @param {number} limit */
  take(limit) {
    let size = 64;
    let count = 0;
    for (const message of this.#unsent) {
      size += message.size;
      if (count === BATCH || (count && size > limit)) break;
      count += 1;
    }
    const messages = this.#unsent.splice(0, count);
    const first = this.#sent + 1;
    this.#unseen.push(...messages);
    this.#sent += count;
    this.#told = this.seen;
    return `{"first":${first},"seen":${this.seen},"messages":[${messages.map((one) => one.text).join()}]}`;
  }

  /**
   * Those of `messages` that are new, in order; 0 as `first` means that all are.
   *
   * @template T
   * @param {number} first
   * @param {number} seen
   * @param {T[]} messages
   */
  accept(first, seen, messages) {
    this.forget(seen);
    if (!messages.length) return messages;
    const known = this.seen + 1 - (first || this.seen + 1);
    if (known < 0) throw new ProtocolError("INVALID_ARGUMENT", `message ${this.seen + 1} is missing`);
    const fresh = messages.slice(known);
    this.seen += fresh.length;
    return fresh;
  }

  /** Keep no longer what the other end has seen. @param {number} seen */
  forget(seen) {
    if (seen > this.#sent) throw new ProtocolError("INVALID_ARGUMENT", `${seen} seen, ${this.#sent} were sent`);
    this.#unseen.splice(0, Math.max(0, seen - this.#sent + this.#unseen.length));
  }

  /** After a cut: take again all that comes after message `seen`. @param {number} seen */
  rewind(seen) {
    this.forget(seen);
    this.#sent -= this.#unseen.length;
    this.#unsent = [...this.#unseen, ...this.#unsent];
    this.#unseen = [];
  }

  /** All that the other end has not seen, for a session that starts anew. */
  drain() {
    const left = [...this.#unseen, ...this.#unsent];
    this.#unseen = [];
    this.#unsent = [];
    this.#sent = this.seen = this.#told = 0;
    return left;
  }
}
