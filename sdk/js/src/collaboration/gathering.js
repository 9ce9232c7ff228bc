/** Asking many at once and going on when enough have answered: fanout and fan-in. */

import { learn } from "../bus.js";
import { BusClosed, HopLimitExceeded, InvalidEnvelope, LoomError, show } from "../errors.js";
import { Deadline, tell } from "./waiting.js";

/** @typedef {import("../context.js").Context} Context */
/** @typedef {import("../envelope.js").Envelope} Envelope */
/** @typedef {"all" | "any" | "majority" | "timeout"} Strategy */
/** @typedef {{target: string, envelope: Envelope, data: any}} Reply */

/**
 * @typedef {object} FanoutOptions
 * @property {Strategy} [strategy]
 * @property {number} [firstK] instead of a strategy: so many replies
 * @property {number} [timeoutMs]
 * @property {import("../context.js").Thread | string} [thread]
 * @property {AbortSignal} [signal]
 */

/** How much longer than the gathering one question may live, so that the gathering ends it. */
const GRACE = 1000;
/** What is wrong with the question or with the session, and not with one target. */
const FATAL = [BusClosed, HopLimitExceeded, InvalidEnvelope];

/** What a fanout brought in. */
export class Gathered {
  /** @param {string[]} targets @param {number} wanted */
  constructor(targets, wanted) {
    this.targets = targets;
    this.wanted = wanted;
    /** In the order of arrival, at most one a target. @type {Reply[]} */
    this.replies = [];
    /** Why, for those of the missing that could not be asked. @type {Record<string, LoomError>} */
    this.failures = {};
    /** Seconds. */
    this.elapsed = 0;
  }

  /** Targets without a reply, in the order of asking. */
  get missing() {
    return this.targets.filter((target) => !this.replies.some((reply) => reply.target === target));
  }

  /** Whether as many answered as the strategy wants. */
  get isComplete() {
    return this.replies.length >= this.wanted;
  }

  /** The answers by target. @returns {Record<string, any>} */
  get data() {
    return Object.fromEntries(this.replies.map(({ target, data }) => [target, data]));
  }

  /** Whether enough have answered, or nobody is left who could. */
  get isOver() {
    const known = this.replies.length + Object.keys(this.failures).length;
    return (this.wanted > 0 && this.isComplete) || known === this.targets.length;
  }
}

/**
 * Ask every topic of `targets` the same, and gather the first reply of each.
 *
 * Returns as soon as enough have answered, when nobody is left who could, and after `timeoutMs` at the
 * latest, always with what arrived. One `collab.summary` on the thread's reply topic tells how it ended.
 *
 * @param {Context} ctx
 * @param {Iterable<string>} targets
 * @param {unknown} [data]
 * @param {FanoutOptions & import("../bus.js").PublishOptions} [options]
 * @returns {Promise<Gathered>}
 */
export async function fanout(ctx, targets, data = null, options = {}) {
  const { strategy = "all", firstK, timeoutMs = 5000, thread, signal = ctx.signal, ...fields } = options;
  if (typeof targets === "string") throw new TypeError(`the targets are one text; write [${show(targets)}]`);
  const asked = [...new Set(targets)];
  const gathered = new Gathered(asked, wantedOf(strategy, firstK, asked.length));
  const deadline = new Deadline(timeoutMs);
  const threadId = ctx.threadId(thread ?? fields.thread_id);
  const question = { expires: Date.now() / 1000 + timeoutMs / 1000, ...fields, thread_id: threadId };
  const name = firstK === undefined ? strategy : `first_k:${firstK}`;
  try {
    await gather(ctx, gathered, data, question, deadline, signal);
  } catch (error) {
    const summary = summaryOf(gathered, name, deadline.elapsed);
    tell(ctx, `thread.${threadId}.reply`, summary, { type: "collab.summary", thread_id: threadId, priority: 40 });
    throw error;
  }
  gathered.elapsed = deadline.elapsed;
  await ctx.announce(threadId, "collab.summary", summaryOf(gathered, name, gathered.elapsed));
  learn(ctx.cause, gathered.replies.map((reply) => reply.envelope));
  return gathered;
}

/**
 * Ask all; ends when it is over, when time is over, or with what makes asking senseless.
 *
 * @param {Context} ctx
 * @param {Gathered} gathered
 * @param {unknown} data
 * @param {import("../bus.js").PublishOptions} question
 * @param {Deadline} deadline
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function gather(ctx, gathered, data, question, deadline, signal) {
  const asking = new AbortController();
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const timer = setTimeout(() => finish(), deadline.limit);
    const leave = () => finish(signal.reason);
    signal.addEventListener("abort", leave);
    /** @param {unknown} [error] */
    const finish = (error) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      asking.abort();
      if (error === undefined) resolve();
      else reject(error);
    };
    for (const target of gathered.targets) {
      const options = { ...question, timeoutMs: deadline.limit + GRACE, signal: asking.signal };
      ctx.bus.request(target, data, options, ctx.cause).then(
        (envelope) => {
          if (!asking.signal.aborted) gathered.replies.push({ target, envelope, data: envelope.data });
          if (gathered.isOver) finish();
        },
        (error) => {
          if (asking.signal.aborted) return;
          if (!(error instanceof LoomError) || FATAL.some((kind) => error instanceof kind)) return finish(error);
          gathered.failures[target] = error;
          if (gathered.isOver) finish();
        },
      );
    }
    if (gathered.isOver) finish();
  });
}

/** @param {Strategy} strategy @param {number | undefined} firstK @param {number} count */
function wantedOf(strategy, firstK, count) {
  if (firstK !== undefined) {
    if (strategy !== "all") throw new RangeError(`either strategy ${show(strategy)} or firstK ${firstK}, not both`);
    if (firstK >= 1 && firstK <= count) return firstK;
    throw new RangeError(`firstK is ${firstK}, must be 1 to the number of targets, ${count}`);
  }
  const wanted = { all: count, any: 1, majority: Math.floor(count / 2) + 1, timeout: 0 };
  if (Object.hasOwn(wanted, strategy)) return wanted[strategy];
  throw new RangeError(`strategy is ${show(strategy)}, must be one of ${Object.keys(wanted).join(", ")}`);
}

/** @param {Gathered} gathered @param {string} strategy @param {number} elapsed */
function summaryOf(gathered, strategy, elapsed) {
  return {
    strategy,
    wanted: gathered.wanted,
    answered: gathered.replies.map((reply) => reply.target),
    missing: gathered.missing,
    failures: Object.fromEntries(Object.entries(gathered.failures).map(([target, error]) => [target, error.message])),
    is_complete: gathered.isComplete,
    elapsed,
  };
}
