/** The bidder's side of the contract net: bid, and if it wins, deliver. */

import { learn } from "../bus.js";
import { InvalidEnvelope, LoomError, show } from "../errors.js";
import { nextBefore } from "../subscription.js";
import { isScore } from "./contracting.js";
import { Deadline, TAGS, tell } from "./waiting.js";

/** @typedef {import("../context.js").Context} Context */
/** @typedef {import("../envelope.js").Envelope} Envelope */

/** How much longer than the call lasts its bidders wait for the word that it is over. */
const GRACE = 1000;

/** A task that was won. Deliver a result or say that it failed, once. */
export class Award {
  /** Whether the caller was told. */
  isDone = false;
  #ctx;
  #notice;

  /** @param {Context} ctx @param {import("./contracting.js").Call} call @param {Envelope} notice */
  constructor(ctx, call, notice) {
    this.#ctx = ctx;
    this.#notice = notice;
    this.call = call;
    /** What is to be done. @type {any} */
    this.task = call.task;
    /** Seconds that were left for it when it was awarded. @type {number} */
    this.within = notice.data.within;
  }

  /** Give the caller the result. @param {unknown} [result] */
  async deliver(result = null) {
    await this.#tell({ call: this.call.id, result, failure: "" });
  }

  /** Tell the caller that there will be no result. @param {string} reason */
  async fail(reason) {
    await this.#tell({ call: this.call.id, result: null, failure: reason || "failed" });
  }

  /**
   * Do the task: what `work` returns is delivered, and an error tells the caller that it failed.
   *
   * @template T
   * @param {(task: any) => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  async perform(work) {
    try {
      const result = await work(this.task);
      if (!this.isDone) await this.deliver(result);
      return result;
    } catch (error) {
      if (!this.isDone) await this.fail(String(error));
      throw error;
    }
  }

  /** @param {object} outcome */
  async #tell(outcome) {
    if (this.isDone) throw new LoomError(`the caller of ${show(this.call.id)} was told already what became of it`);
    this.isDone = true;
    await this.#ctx.reply(this.#notice, outcome, { type: "collab.result", tags: [...TAGS] });
  }
}

/**
 * Bid for the task of `call` (a `collab.cfp` event), and wait for the decision.
 *
 * Returns the award, or null: others won, the bid was refused, the caller is gone or did not decide within
 * `holdMs` (by default as long as the call lasts). Leaving early withdraws the bid.
 *
 * @param {Context} ctx
 * @param {Envelope} call
 * @param {{score: number, promise?: unknown, holdMs?: number, signal?: AbortSignal}} options
 * @returns {Promise<Award | null>}
 */
export async function bid(ctx, call, { score, promise = null, holdMs, signal = ctx.signal }) {
  const terms = termsOf(call);
  if (!isScore(score)) throw new RangeError(`the score is ${show(score)}, must be a finite number`);
  const deadline = new Deadline(holdMs ?? (terms.window + terms.timeout) * 1000 + GRACE);
  if (call.expires && Date.now() / 1000 > call.expires) return null; // the window is closed
  const offer = { call: terms.id, score, promise, hold: holdMs === undefined ? 0 : holdMs / 1000 };
  const inbox = ctx.inbox();
  const options = {
    type: "collab.bid", thread_id: call.thread_id, correlation_id: call.correlation_id,
    reply_to: inbox.patterns[0], tags: [...TAGS],
  };
  try {
    if ((await ctx.bus.publishConfirmed(call.reply_to, offer, options, ctx.cause)) === 0) return null;
    let answer = await nextBefore(inbox, deadline.left, signal);
    while (answer && answer.sender !== call.sender) answer = await nextBefore(inbox, deadline.left, signal);
    if (!answer) withdraw(ctx, call, terms.id, "the bidder does not wait any more");
    if (answer) learn(ctx.cause, [answer]);
    return answer?.type === "collab.award" ? new Award(ctx, terms, answer) : null;
  } catch (error) {
    if (signal.aborted) withdraw(ctx, call, terms.id, "the bidder was cancelled");
    throw error;
  } finally {
    inbox.close();
  }
}

/** @param {Envelope} call @returns {import("./contracting.js").Call} */
function termsOf(call) {
  const { id, window, timeout, task = null, awards = 1 } = call.data ?? {};
  if (typeof id === "string" && isScore(window) && isScore(timeout)) return { id, window, timeout, task, awards };
  throw new InvalidEnvelope("data", "is no call for proposals");
}

/** @param {Context} ctx @param {Envelope} call @param {string} id @param {string} reason */
function withdraw(ctx, call, id, reason) {
  tell(ctx, call.reply_to, { call: id, result: null, failure: reason }, { type: "collab.result" });
}
