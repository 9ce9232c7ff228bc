/**
 * The caller's side of the contract net: call, compare bids, award, receive, settle.
 *
 * The protocol is FIPA's Contract Net Interaction Protocol (SC00029H), with scores for the caller's
 * deliberation and, beyond it, bidders in reserve who are asked when a winner does not deliver.
 */

import { learn } from "../bus.js";
import { BusClosed, HopLimitExceeded, LoomError, show } from "../errors.js";
import { nextBefore } from "../subscription.js";
import { Deadline, HIGH, newName, PRIVATE, TAGS, tell } from "./waiting.js";

/** @typedef {import("../context.js").Context} Context */
/** @typedef {import("../envelope.js").Envelope} Envelope */
/** @typedef {{id: string, task: unknown, window: number, timeout: number, awards: number}} Call times in seconds */
/** @typedef {{bidder: string, score: number, promise: any, address: string, hold: Deadline | null}} Standing */
/** @typedef {{standing: Standing, patience: Deadline}} Work */
/** @typedef {{winner: string, score: number, promise: any, result: any, failure: string, elapsed: number}} Contract */

/**
 * @typedef {object} NetOptions
 * @property {number} [windowMs] how long bids are taken
 * @property {number} [timeoutMs] how long the winners have together
 * @property {number} [awards] how many get the task
 * @property {number} [reserves] how many are kept waiting in case a winner fails
 * @property {number} [patienceMs] after which a silent winner counts as failed; by default the whole time
 * @property {import("../context.js").Thread | string} [thread]
 * @property {AbortSignal} [signal]
 */

const LATE = "late: nothing was delivered in time";

/** How a call for proposals ended. */
export class Settlement {
  /**
   * @param {Call} call
   * @param {string} topic
   * @param {Net} net
   * @param {number} elapsed seconds
   */
  constructor(call, topic, net, elapsed) {
    this.call = call.id;
    this.topic = topic;
    this.awards = call.awards;
    /** Every award, in the order of awarding; those that failed too. */
    this.contracts = [...net.contracts.values()];
    /** How many bids were valid. */
    this.bids = net.valid;
    /** Bidders whose bid could not be used, and why. */
    this.refused = net.refused;
    this.elapsed = elapsed;
  }

  /** The contracts whose winners delivered. */
  get kept() {
    return this.contracts.filter((contract) => !contract.failure);
  }

  /** Whether as many delivered as were wanted. */
  get isComplete() {
    return this.kept.length >= this.awards;
  }

  /** Who delivered first, in the order of awarding; empty if nobody did. */
  get winner() {
    return this.kept[0]?.winner ?? "";
  }

  /** What the winner delivered. */
  get result() {
    return this.kept[0]?.result ?? null;
  }

  /** Why there is no result; empty = there is one. */
  get failure() {
    if (this.kept.length) return "";
    return this.contracts.at(-1)?.failure || "nobody made a valid bid";
  }
}

/** The state of one call. */
class Net {
  /** Bids neither awarded nor rejected: as they arrived, from `execute` on by rank. @type {Standing[]} */
  standings = [];
  valid = 0;
  /** @type {Record<string, string>} */
  refused = {};
  /** @type {Map<string, Contract>} */
  contracts = new Map();
  /** @type {Envelope[]} */
  received = [];
  /** @type {Map<string, Work>} */
  #work = new Map();
  #ctx;
  #call;
  #inbox;
  #signal;

  /**
   * @param {Context} ctx
   * @param {Call} call
   * @param {import("../subscription.js").Subscription} inbox
   * @param {AbortSignal} signal
   */
  constructor(ctx, call, inbox, signal) {
    this.#ctx = ctx;
    this.#call = call;
    this.#inbox = inbox;
    this.#signal = signal;
  }

  /** @param {number} left milliseconds */
  #next(left) {
    return nextBefore(this.#inbox, left, this.#signal);
  }

  // -- bids ---------------------------------------------------------------------------------

  /** Take bids until the window closes. */
  async collect() {
    const window = new Deadline(this.#call.window * 1000);
    for (let event = await this.#next(window.left); event; event = await this.#next(window.left)) {
      if (event.type === "collab.bid") this.#consider(event);
      else if (event.type === "collab.result") this.#withdraw(event.sender);
    }
  }

  /** @param {Envelope} event */
  #consider(event) {
    const { score, promise = null, hold } = event.data ?? {};
    const bidder = event.sender;
    if (!isScore(score)) {
      this.#refuse(event, `the score is ${show(score)}, must be a finite number`);
    } else if (this.standings.some((standing) => standing.bidder === bidder)) {
      this.#refuse(event, "a bid of yours stands already");
    } else if (!event.reply_to.startsWith(PRIVATE)) {
      this.#refuse(event, "a bid must name a private inbox as reply_to");
    } else {
      const until = isScore(hold) && hold > 0 ? new Deadline(hold * 1000) : null;
      this.standings.push({ bidder, score, promise, address: event.reply_to, hold: until });
      this.received.push(event);
      this.valid += 1;
    }
  }

  /** @param {Envelope} event @param {string} reason */
  #refuse(event, reason) {
    this.refused[event.sender] = reason;
    if (event.reply_to.startsWith(PRIVATE)) this.#reject(event.reply_to, reason);
  }

  /** @param {string} bidder */
  #withdraw(bidder) {
    this.standings = this.standings.filter((known) => known.bidder !== bidder);
  }

  /** @param {string} address @param {string} reason */
  #reject(address, reason) {
    tell(this.#ctx, address, { call: this.#call.id, reason }, { type: "collab.reject" });
  }

  /** Reject all bids but the first `keep`. @param {string} reason @param {number} [keep] */
  dismiss(reason, keep = 0) {
    for (const standing of this.standings.splice(keep)) this.#reject(standing.address, reason);
  }

  // -- work ---------------------------------------------------------------------------------

  /**
   * Award the best bids, then the next best in place of whoever fails, until it is done.
   *
   * @param {number} reserves
   * @param {number} patience milliseconds
   */
  async execute(reserves, patience) {
    const deadline = new Deadline(this.#call.timeout * 1000);
    this.standings.sort((one, other) => other.score - one.score); // stable: ties by arrival
    this.dismiss("others bid higher", this.#call.awards + reserves);
    while (await this.#awardOpen(deadline, patience)) {
      const left = Math.min(...[...this.#work.values()].map((work) => work.patience.left));
      const event = await this.#next(Math.min(left, deadline.left));
      if (event) this.#take(event);
      else if (deadline.left) this.#giveUpLate();
      else break;
    }
    for (const bidder of [...this.#work.keys()]) this.#end(bidder, null, LATE);
  }

  /** Award what nobody works on; whether somebody works. @param {Deadline} deadline @param {number} patience */
  async #awardOpen(deadline, patience) {
    const kept = () => [...this.contracts.values()].filter((contract) => !contract.failure).length;
    while (this.standings.length && kept() + this.#work.size < this.#call.awards) {
      const within = Math.min(patience, deadline.left);
      if (!within) break;
      const standing = /** @type {Standing} */ (this.standings.shift());
      if (!standing.hold || standing.hold.left) await this.#award(standing, within);
    }
    return this.#work.size > 0;
  }

  /** @param {Standing} standing @param {number} within milliseconds */
  async #award(standing, within) {
    this.#work.set(standing.bidder, { standing, patience: new Deadline(within) });
    this.#note(standing, null, "it is being worked on", 0); // holds its place in the order
    if (!(await this.#tellWinner(standing, within))) {
      this.#end(standing.bidder, null, "the bidder does not wait any more");
    }
  }

  /** @param {Standing} standing @param {number} within milliseconds */
  async #tellWinner({ bidder, address }, within) {
    const notice = { call: this.#call.id, winner: bidder, within: within / 1000 };
    const options = { type: "collab.award", reply_to: this.#inbox.patterns[0], tags: [...TAGS], priority: HIGH };
    try {
      return (await this.#ctx.bus.publishConfirmed(address, notice, options, this.#ctx.cause)) !== 0;
    } catch (error) {
      if (!(error instanceof LoomError) || error instanceof BusClosed || error instanceof HopLimitExceeded) throw error;
      this.#ctx.home.log.warn(`loom: ${bidder} could not be awarded:`, error);
      return false;
    }
  }

  /** Note what a bidder delivered, if it is one who has the task. @param {Envelope} event */
  #take(event) {
    const bidder = event.sender;
    if (event.type === "collab.bid") this.#refuse(event, "the window is closed");
    else if (event.type !== "collab.result") return;
    else if (this.#work.has(bidder)) {
      const { result = null, failure = "" } = event.data ?? {};
      this.received.push(event);
      this.#end(bidder, result, String(failure));
    } else this.#withdraw(bidder);
  }

  #giveUpLate() {
    for (const [bidder, { patience }] of [...this.#work]) if (!patience.left) this.#end(bidder, null, LATE);
  }

  /** @param {string} bidder @param {unknown} result @param {string} failure */
  #end(bidder, result, failure) {
    const { standing, patience } = /** @type {Work} */ (this.#work.get(bidder));
    this.#work.delete(bidder);
    this.#note(standing, result, failure, patience.elapsed);
  }

  /** @param {Standing} standing @param {unknown} result @param {string} failure @param {number} elapsed */
  #note({ bidder, score, promise }, result, failure, elapsed) {
    this.contracts.set(bidder, { winner: bidder, score, promise, result, failure, elapsed });
  }

  /** Refuse the bids that came too late to be looked at. */
  async finish() {
    while (this.#inbox.queued) {
      const event = await this.#next(1);
      if (event) this.#take(event);
    }
  }
}

/**
 * Offer `task` on `topic` and have it done by the best bidders; the other side is `bid`.
 *
 * Always returns a settlement: look at `isComplete`, `winner`, `result`, `failure`. It is also published
 * as `collab.settled` on the thread's reply topic.
 *
 * @param {Context} ctx
 * @param {string} topic
 * @param {unknown} [task]
 * @param {NetOptions & import("../bus.js").PublishOptions} [options]
 * @returns {Promise<Settlement>}
 */
export async function contractNet(ctx, topic, task = null, options = {}) {
  const {
    windowMs = 1000, timeoutMs = 30_000, awards = 1, reserves = 1, patienceMs = timeoutMs, thread,
    signal = ctx.signal, ...fields
  } = options;
  if (!(awards >= 1 && reserves >= 0)) throw new RangeError(`awards ${awards}, reserves ${reserves}: too few`);
  for (const limit of [windowMs, timeoutMs, patienceMs]) new Deadline(limit);
  const call = { id: newName(), task, window: windowMs / 1000, timeout: timeoutMs / 1000, awards };
  const watch = new Deadline(windowMs + timeoutMs);
  const threadId = ctx.threadId(thread ?? fields.thread_id);
  const inbox = ctx.inbox();
  const net = new Net(ctx, call, inbox, signal);
  const offer = {
    expires: Date.now() / 1000 + call.window, ...fields, type: "collab.cfp", thread_id: threadId,
    reply_to: inbox.patterns[0], tags: [...TAGS, ...(fields.tags ?? [])],
  };
  try {
    if ((await ctx.bus.publishConfirmed(topic, call, offer, ctx.cause)) !== 0) {
      await net.collect();
      await net.execute(reserves, patienceMs);
      await net.finish();
    }
  } finally {
    net.dismiss("the call is settled");
    inbox.close();
  }
  const settled = new Settlement(call, topic, net, watch.elapsed);
  learn(ctx.cause, net.received);
  await ctx.announce(threadId, "collab.settled", settled);
  return settled;
}

/** Whether bids can be compared by `value`. @param {unknown} value @returns {value is number} */
export const isScore = (value) => Number.isFinite(value);
