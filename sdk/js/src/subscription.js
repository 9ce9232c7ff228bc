/** What a subscription received, as an async iterator. */

import { BusClosed } from "./errors.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */

/**
 * Events that wait to be taken, higher priority first. An event is acknowledged when the next one is
 * taken: until then it would come again in another process of the agent.
 */
export class Subscription {
  isClosed = false;
  /** @type {Envelope[]} */
  #queue = [];
  /** @type {Set<() => void>} */
  #waiting = new Set();
  /** @type {Envelope | null} */
  #held = null;
  #bus;

  /** @param {import("./bus.js").Bus} bus @param {string[]} patterns */
  constructor(bus, patterns) {
    this.#bus = bus;
    this.patterns = patterns;
  }

  /** How many events wait. */
  get queued() {
    return this.#queue.length;
  }

  /**
   * The next event; null when the subscription is closed, or when none came within `timeoutMs`.
   *
   * @param {{timeoutMs?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<Envelope | null>}
   * @throws the signal's reason, when it is aborted
   */
  async receive(options) {
    this.#settleHeld();
    return (this.#held = await this.next(options));
  }

  /**
   * As `receive`, for who acknowledges by `settle`.
   *
   * @param {{timeoutMs?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<Envelope | null>}
   */
  async next({ timeoutMs = Infinity, signal } = {}) {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const event = this.#take();
      if (event) return event;
      const left = deadline - performance.now();
      if (this.isClosed || !(left > 0)) return null;
      await this.#arrival(left, signal);
    }
  }

  #take() {
    for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
      if (!event.expires || event.expires > Date.now() / 1000) return event;
      this.settle(event);
    }
    return null;
  }

  /**
   * Acknowledge `event`.
   *
   * @param {Envelope} event
   * @param {boolean} [hasFailed]
   * @param {{reason?: string, outcome?: string, delay?: number, state?: string}} [more]
   */
  settle(event, hasFailed = false, more = {}) {
    this.#bus.settle(event, hasFailed, more);
  }

  /** Take `event` in; what the bus calls. @param {Envelope} event */
  offer(event) {
    let place = this.#queue.length;
    while (place > 0 && /** @type {Envelope} */ (this.#queue[place - 1]).priority < event.priority) place -= 1;
    this.#queue.splice(place, 0, event);
    this.#wake();
  }

  /** Hold what `isUnwanted` is true of no longer. @param {(event: Envelope) => boolean} isUnwanted */
  drop(isUnwanted) {
    this.#queue = this.#queue.filter((event) => !isUnwanted(event));
  }

  /** Receive what is published to `pattern` too. @param {string} pattern */
  add(pattern) {
    if (this.patterns.includes(pattern)) return;
    this.#bus.listen(this, pattern);
    this.patterns = [...this.patterns, pattern];
  }

  /** Receive `pattern` no more; what waits is still delivered. @param {string} pattern */
  remove(pattern) {
    if (!this.patterns.includes(pattern)) return;
    this.#bus.unlisten(this, pattern);
    this.patterns = this.patterns.filter((known) => known !== pattern);
  }

  /** End it: what waits is lost, an iteration ends. */
  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#settleHeld();
    this.#queue = [];
    this.#bus.forget(this);
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (let event = await this.receive(); event; event = await this.receive()) yield event;
    } finally {
      this.close();
    }
  }

  #settleHeld() {
    if (this.#held) this.settle(this.#held);
    this.#held = null;
  }

  #wake() {
    for (const done of this.#waiting) done();
  }

  /** @param {number} limit @param {AbortSignal} [signal] @returns {Promise<void>} */
  #arrival(limit, signal) {
    return new Promise((resolve) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer;
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      if (limit < 2 ** 31) timer = setTimeout(done, limit);
      this.#waiting.add(done);
      signal?.addEventListener("abort", done);
    });
  }
}

/**
 * The next event of `inbox` that arrives within `timeoutMs`; null when there is none.
 *
 * @param {Subscription} inbox
 * @param {number} timeoutMs
 * @param {AbortSignal} [signal]
 * @throws {BusClosed} the session ended it
 */
export async function nextBefore(inbox, timeoutMs, signal) {
  const event = await inbox.receive({ timeoutMs, signal });
  if (!event && inbox.isClosed) throw new BusClosed(`the subscription to ${inbox.patterns[0]} is over`);
  return event;
}
