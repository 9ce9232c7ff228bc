/**
 * Waiting for each other: a barrier without a coordinator.
 *
 * Whoever waits listens to the barrier's topic and says so there. Whoever waits already answers a newcomer,
 * so all know of each other. The first who has seen all says `passed`, which releases the others.
 */

import { BarrierTimeout, show } from "../errors.js";
import { nextBefore } from "../subscription.js";
import { Deadline, newName, TAGS, tell } from "./waiting.js";

/** @typedef {import("../context.js").Context} Context */
/** @typedef {import("../envelope.js").Envelope} Envelope */

const TYPE = "collab.barrier";

/** One member's view of one round. */
class Round {
  token = newName();
  isReleased = false;
  /** @type {Set<string>} */
  #left = new Set();
  #ctx;

  /** @param {Context} ctx @param {string} name @param {Iterable<string>} members */
  constructor(ctx, name, members) {
    if (!name || /[.*> \t\n]/.test(name)) {
      throw new RangeError(`the barrier's name is ${show(name)}, must be one token of a topic`);
    }
    this.topic = `collab.barrier.${name}`;
    this.members = new Set(members);
    this.#ctx = ctx;
    this.present = new Map([[ctx.agentId, this.token]]);
    if (!this.members.has(ctx.agentId)) {
      throw new RangeError(`${show(ctx.agentId)} waits at ${show(name)} but is none of its members`);
    }
  }

  /** Whether all wait, or one who saw all waiting has said so. */
  get isComplete() {
    return this.isReleased || this.missing.length + this.#left.size === 0;
  }

  /** Who never came, sorted. */
  get missing() {
    return [...this.members].filter((one) => !this.present.has(one) && !this.#left.has(one)).sort();
  }

  /** Who came and left again, sorted. */
  get left() {
    return [...this.#left].sort();
  }

  /** @param {object} step @param {string} [topic] */
  async say(step, topic = this.topic) {
    await this.#ctx.emit(topic, { token: this.token, ...step }, { type: TYPE, tags: [...TAGS] });
  }

  /** Say that this member waits no more. */
  leave() {
    const missing = this.missing.length ? this.missing : this.left;
    tell(this.#ctx, this.topic, { state: "left", token: this.token, missing }, { type: TYPE });
  }

  /** Take in what another member says, and answer a newcomer. @param {Envelope} event */
  async hear(event) {
    const member = event.sender;
    if (member === this.#ctx.agentId || !this.members.has(member)) return;
    const { state, token, to = "", tokens = {} } = event.data ?? {};
    if (state === "passed") {
      const isMine = tokens[this.#ctx.agentId] === this.token;
      this.isReleased ||= isMine && [...this.members].every((one) => Object.hasOwn(tokens, one));
    } else if (state === "left") {
      if (this.present.get(member) !== token) return;
      this.present.delete(member);
      this.#left.add(member);
    } else if (state === "waiting" && (!to || to === this.token)) {
      this.present.set(member, token);
      this.#left.delete(member);
      if (!to) await this.say({ state: "waiting", to: token }, `${this.topic}.${member}`);
    }
  }
}

/**
 * Wait until every one of `members` (agent ids, the own among them) waits here too, in any language.
 *
 * The same name may be used again at once, round after round.
 *
 * @param {Context} ctx
 * @param {string} name one token of a topic
 * @param {Iterable<string>} members
 * @param {{timeoutMs?: number, signal?: AbortSignal}} [options]
 * @throws {BarrierTimeout} some did not come in time; `missing` names them
 */
export async function barrier(ctx, name, members, { timeoutMs = 30_000, signal = ctx.signal } = {}) {
  const deadline = new Deadline(timeoutMs);
  const round = new Round(ctx, name, members);
  const steps = ctx.subscribe(round.topic, `${round.topic}.${ctx.agentId}`);
  try {
    await round.say({ state: "waiting" });
    while (!round.isComplete) {
      const event = await nextBefore(steps, deadline.left, signal);
      if (!event) throw new BarrierTimeout(name, round.missing, round.left, timeoutMs / 1000);
      await round.hear(event);
    }
    if (!round.isReleased) await round.say({ state: "passed", tokens: Object.fromEntries(round.present) });
  } catch (error) {
    round.leave();
    throw error;
  } finally {
    steps.close();
  }
}
