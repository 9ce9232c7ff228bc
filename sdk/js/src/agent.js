/** `Agent`: an actor with an id, topics, a handler and capabilities. */

import { onStopAsked } from "#platform";

import { findToken, parseAddress } from "./address.js";
import { Bus, Cause, flow, MAILBOX } from "./bus.js";
import { byName, outcome } from "./capability.js";
import { Context } from "./context.js";
import { LoomError, Reject, Retry, show } from "./errors.js";
import { Keeping } from "./keeping.js";
import { message } from "./protocol.js";
import { Session } from "./session.js";

/** @typedef {import("./envelope.js").Envelope} Envelope */

/** Characters of a reason that are told. */
const LONGEST_REASON = 500;

/**
 * What a context needs of its agent.
 *
 * @typedef {object} Home
 * @property {string} id
 * @property {Record<string, any>} state
 * @property {Bus} bus
 * @property {AbortSignal} signal
 * @property {Pick<Console, "warn" | "error">} log
 * @property {() => import("./subscription.js").Subscription} mailbox
 */

/** @typedef {(ctx: Context, topic: string, event: Envelope) => unknown} OnEvent */

/**
 * @typedef {object} AgentOptions
 * @property {string} id
 * @property {string[]} [topics]
 * @property {OnEvent} [onEvent] called with one event after the other, or as `concurrency` says
 * @property {(ctx: Context) => unknown} [onStart] called once before the first event
 * @property {(ctx: Context) => unknown} [onStop] called once after the last event
 * @property {import("./capability.js").Capability[]} [capabilities]
 * @property {string} [address] see `address.js`; else `LOOM_ADDRESS`, else the Loom of this folder or user
 * @property {string} [token] else `LOOM_TOKEN`, the file `LOOM_TOKEN_FILE`, or the local token
 * @property {string} [concurrency] `queue`, `reject`, `replace` or `parallel:<n>`
 * @property {number} [mailbox] how many events may wait
 * @property {Record<string, string>} [metadata]
 * @property {Pick<Console, "warn" | "error">} [log]
 */

const SOFTWARE = "loom-js/0.1.0";
/** Milliseconds that a stopped agent has to finish what it handles. */
const PATIENCE = 5000;
/** And then, when its signal was aborted. */
const LAST_PATIENCE = 500;

/** An agent that lives in this process and takes part in a Loom. */
export class Agent {
  #options;
  #width;
  #capabilities;
  /** @type {Home | null} */
  #home = null;
  /** @type {import("./subscription.js").Subscription | null} */
  #mailbox = null;
  /** @type {Map<Promise<void>, AbortController>} */
  #running = new Map();
  /** @type {Map<number, AbortController>} */
  #calls = new Map();
  /** @type {Keeping | null} */
  #keeping = null;
  #life = new AbortController();
  /** @type {(reason: string) => void} */
  #tellEnd = () => {};

  /** @param {AgentOptions} options */
  constructor(options) {
    if (typeof options.topics === "string") {
      throw new TypeError(`topics of agent ${show(options.id)} is one text; write [${show(options.topics)}]`);
    }
    this.#options = { concurrency: "queue", mailbox: 1000, capabilities: [], log: console, ...options };
    this.#width = widthOf(options.id, this.#options.concurrency);
    this.#capabilities = byName(this.#options.capabilities);
    /** Why the session ended; empty = it was stopped. @type {Promise<string>} */
    this.ended = new Promise((resolve) => (this.#tellEnd = resolve));
    /** JSON values that the agent knows; where a journal runs they survive any crash. @type {Record<string, any>} */
    this.state = {};
  }

  get id() {
    return this.#options.id;
  }

  /** The agent's context outside of any event. */
  get ctx() {
    if (!this.#home) throw new LoomError(`agent ${show(this.id)} has not been started: await agent.start()`);
    return new Context(this.#home);
  }

  /** How often the connection was made again. */
  get reconnects() {
    return this.#home?.bus.session.reconnects ?? 0;
  }

  /**
   * Connect; returns when the agent receives events. Nothing happens if it runs.
   *
   * @throws {import("./errors.js").Refused | import("./errors.js").Disconnected}
   */
  async start() {
    if (this.#home) return;
    const bus = await this.#join();
    const { topics = [], mailbox, onStart } = this.#options;
    try {
      if (this.#capabilities.size) bus.offer([...this.#capabilities.values()].map((one) => one.descriptor));
      await onStart?.(this.ctx);
      const patterns = [`agent.${this.id}.replies`, ...topics];
      this.#mailbox = bus.subscribe(patterns, { capacity: mailbox }, MAILBOX);
      // Once this has been counted, the server knows of the subscription too.
      await bus.publishConfirmed(`agent.${this.id}.started`, { id: this.id }, {}, null);
    } catch (error) {
      await bus.session.close();
      this.#home = null;
      throw error;
    }
    void this.#work(this.#mailbox);
  }

  /** Finish the event being handled and leave; nothing happens if it does not run. */
  async stop() {
    const home = this.#home;
    if (!home) return;
    const ctx = this.ctx;
    this.#mailbox?.close();
    await within(PATIENCE, Promise.all(this.#running.keys()));
    this.#abort();
    await within(LAST_PATIENCE, Promise.all(this.#running.keys()));
    try {
      await this.#options.onStop?.(ctx);
    } finally {
      this.#home = null;
      if (!home.bus.session.isOver) {
        if (this.#capabilities.size) home.bus.offer([]);
        await home.bus.publish(`agent.${this.id}.stopped`, { id: this.id }, {}, null);
        await home.bus.session.close();
      }
      home.bus.close();
    }
  }

  /**
   * Run until the process is asked to end (Ctrl-C, SIGTERM).
   *
   * @throws {LoomError} the session was ended by the other side
   */
  async run() {
    await this.start();
    /** @type {() => void} */
    let forget = () => {};
    const asked = new Promise((resolve) => (forget = onStopAsked(() => resolve(null))));
    const reason = await Promise.race([asked, this.ended]);
    forget();
    await this.stop();
    if (reason) throw new LoomError(`the session of agent ${show(this.id)} is over: ${reason}`);
  }

  // -- the session --------------------------------------------------------------------------

  async #join() {
    const { address, token, metadata = {}, log } = this.#options;
    const where = parseAddress(address);
    const found = findToken(where, token);
    if (!found) {
      throw new LoomError(
        `no token for ${where.name}: make one there with \`loom token create NAME\`, and give it as token, ` +
          "in LOOM_TOKEN or in a file that LOOM_TOKEN_FILE names",
      );
    }
    const session = new Session(where, { token: found, agent: this.id, software: SOFTWARE, metadata }, log);
    const bus = new Bus(session, log);
    session.onCall = (asked) => void this.#answer(asked);
    session.onCancel = (ref) => this.#calls.get(ref)?.abort();
    session.onOver = (reason) => this.#over(bus, reason);
    await session.open();
    this.#keeping = new Keeping(session, this.state);
    this.#keeping.renew();
    this.#life = new AbortController();
    const signal = this.#life.signal;
    this.#home = { id: this.id, state: this.state, bus, signal, log, mailbox: () => this.#receiving() };
    return bus;
  }

  #receiving() {
    if (!this.#mailbox) throw new LoomError(`agent ${show(this.id)} does not receive events yet`);
    return this.#mailbox;
  }

  /** @param {Bus} bus @param {string} reason */
  #over(bus, reason) {
    bus.close();
    this.#abort();
    this.#tellEnd(reason);
  }

  #abort() {
    const reason = new DOMException(`agent ${show(this.id)} stops`, "AbortError");
    this.#life.abort(reason);
    for (const controller of [...this.#running.values(), ...this.#calls.values()]) controller.abort(reason);
  }

  // -- events -------------------------------------------------------------------------------

  /** @param {import("./subscription.js").Subscription} mailbox */
  async #work(mailbox) {
    for (let event = await mailbox.next(); event; event = await mailbox.next()) {
      if (this.#running.size >= this.#width && !(await this.#makeRoom(event))) continue;
      if (this.#home?.bus.isVoid(event)) continue;
      const controller = new AbortController();
      const handling = this.#handle(mailbox, event, controller.signal);
      this.#running.set(handling, controller);
      void handling.finally(() => this.#running.delete(handling));
    }
  }

  /** Whether `event` may be handled. @param {Envelope} event */
  async #makeRoom(event) {
    if (this.#options.concurrency === "reject") {
      const refusal = { event: event.id, topic: event.topic, reason: "busy" };
      await this.#tell("rejected", refusal, new Cause(event));
      this.#mailbox?.settle(event);
      return false;
    }
    if (this.#options.concurrency === "replace") {
      for (const controller of this.#running.values()) {
        controller.abort(new DOMException(`${event.id} takes its place`, "AbortError"));
      }
    }
    while (this.#running.size >= this.#width) await Promise.race(this.#running.keys());
    return true;
  }

  /** @param {import("./subscription.js").Subscription} mailbox @param {Envelope} event @param {AbortSignal} signal */
  async #handle(mailbox, event, signal) {
    const cause = new Cause(event);
    const keeping = this.#keeping;
    let hasFailed = false;
    let more = {};
    try {
      keeping?.renew();
      const ctx = new Context(/** @type {Home} */ (this.#home), cause, signal);
      await flow.run(cause, async () => this.#options.onEvent?.(ctx, event.topic, event));
      const state = keeping?.change();
      if (state) more = { state };
    } catch (error) {
      hasFailed = !(signal.aborted && error === signal.reason);
      more = hasFailed ? endOf(error) : {};
      if (this.#options.concurrency === "queue") keeping?.undo();
      if (hasFailed) await this.#tellFailure(event, cause, error);
    } finally {
      mailbox.settle(event, hasFailed, more);
    }
  }

  /** @param {Envelope} event @param {Cause} cause @param {unknown} error */
  async #tellFailure(event, cause, error) {
    const about = { event: event.id, topic: event.topic };
    this.#home?.bus.reportError(this.id, error, { ...about, subscription: `agent:${this.id}` });
    await this.#tell("failed", { ...about, error: String(error) }, cause);
  }

  /** @param {string} what @param {object} data @param {Cause | null} cause */
  async #tell(what, data, cause) {
    try {
      await this.#home?.bus.publish(`agent.${this.id}.${what}`, data, {}, cause);
    } catch (error) {
      this.#options.log.warn(`loom: agent.${this.id}.${what} was not told:`, error);
    }
  }

  // -- tools --------------------------------------------------------------------------------

  /** @param {{ref: number, call: import("./protocol.js").ToolCall, cause?: number}} asked */
  async #answer({ ref, call, cause: number = 0 }) {
    const home = this.#home;
    if (!home) return;
    const controller = new AbortController();
    this.#calls.set(ref, controller);
    const found = this.#capabilities.get(`${call.name} ${call.version}`);
    const cause = home.bus.begin(number, call);
    const result = await outcome(found, call, new Context(home, cause, controller.signal));
    home.bus.end(cause);
    this.#calls.delete(ref);
    const { session } = home.bus;
    if (!controller.signal.aborted && !session.isOver) session.send(resultMessage(ref, result, session.welcome.max_frame));
  }
}

/** How a handler that threw `error` is said to have ended. @param {unknown} error */
function endOf(error) {
  const reason = String(error).slice(0, LONGEST_REASON);
  if (error instanceof Reject) return { outcome: "reject", reason };
  return error instanceof Retry ? { outcome: "retry", reason, delay: error.delay } : { reason };
}

/** @param {number} ref @param {import("./protocol.js").ToolResult} result @param {number} limit bytes */
function resultMessage(ref, result, limit) {
  let reason = "";
  try {
    const said = message("result", { ref, result });
    if (said.size <= limit) return said;
    reason = `the output is ${said.size} bytes, the limit is ${limit}`;
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  return message("result", { ref, result: { id: result.id, code: "ACTION_ERROR", error: { message: reason } } });
}

/** How many events may be handled at once. @param {string} id @param {string} concurrency */
function widthOf(id, concurrency) {
  if (["queue", "reject", "replace"].includes(concurrency)) return 1;
  const count = Number(/^parallel:(\d+)$/.exec(concurrency)?.[1]);
  if (count > 0) return count;
  throw new LoomError(
    `agent ${show(id)}: concurrency is ${show(concurrency)}, must be queue, reject, replace or parallel:<n>`,
  );
}

/** @param {number} limit milliseconds @param {Promise<unknown>} work */
async function within(limit, work) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  await Promise.race([work, new Promise((done) => (timer = setTimeout(done, limit)))]);
  clearTimeout(timer);
}
