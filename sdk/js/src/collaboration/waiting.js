/** What the forms of working together have in common: time, and telling without waiting. */

export const TAGS = Object.freeze(["collab"]);
/** An award goes before other work. */
export const HIGH = 60;
export const PRIVATE = "$inbox.";

/** @typedef {import("../context.js").Context} Context */

/** A moment some milliseconds away. */
export class Deadline {
  #start = performance.now();

  /** @param {number} limit milliseconds */
  constructor(limit) {
    if (!(limit > 0)) throw new RangeError(`the time to wait is ${limit} ms, must be more than 0`);
    this.limit = limit;
  }

  /** Seconds since it was made. */
  get elapsed() {
    return (performance.now() - this.#start) / 1000;
  }

  /** Milliseconds until then, at least 0. */
  get left() {
    return Math.max(0, this.limit - (performance.now() - this.#start));
  }
}

/** A name that nobody else has. */
export const newName = () => crypto.randomUUID().replaceAll("-", "");

/**
 * Publish without waiting; a failure is logged.
 *
 * @param {Context} ctx
 * @param {string} topic
 * @param {unknown} data
 * @param {import("../bus.js").PublishOptions} options
 */
export function tell(ctx, topic, data, options) {
  try {
    ctx.bus.publishNow(topic, data, { ...options, tags: [...TAGS] }, ctx.cause);
  } catch (error) {
    ctx.home.log.warn(`loom: ${options.type} to ${topic} was only logged:`, error);
  }
}
