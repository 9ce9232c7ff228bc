/** What an agent's handler works with: emit, request, reply, tools, threads, state. */

import { Cause, flow, learn } from "./bus.js";
import { outputOf } from "./capability.js";
import { Envelope } from "./envelope.js";
import { NoResponders, RequestTimeout } from "./errors.js";
import { nextBefore } from "./subscription.js";

/** @typedef {import("./bus.js").PublishOptions} PublishOptions */
/** @typedef {import("./bus.js").RequestOptions} RequestOptions */

/** A conversation: what belongs together, and where its members meet. */
export class Thread {
  /** @param {string} id @param {string} [correlationId] @param {string} [replyTo] */
  constructor(id, correlationId = "", replyTo = "") {
    this.id = id;
    this.correlationId = correlationId;
    this.replyTo = replyTo;
  }

  /** Where a member speaks to all who joined. */
  get broadcastTopic() {
    return `thread.${this.id}.broadcast`;
  }

  /** Where replies go that no one asked for privately. */
  get replyTopic() {
    return `thread.${this.id}.reply`;
  }
}

/** An agent's side of the runtime. What it emits while an event is handled is caused by that event. */
export class Context {
  /**
   * @param {import("./agent.js").Home} home
   * @param {Cause | null} [cause]
   * @param {AbortSignal} [signal]
   */
  constructor(home, cause = null, signal = home.signal) {
    this.home = home;
    /** Aborted when the work should end: the agent stops, or another event replaces this one. */
    this.signal = signal;
    this.own = cause;
  }

  /** The id of the agent. */
  get agentId() {
    return this.home.id;
  }

  /**
   * JSON values that the agent knows; where a journal runs they survive any crash. What the handling of an
   * event changes is kept together with its end: if it fails, it comes again and finds the state as it was.
   *
   * @returns {Record<string, any>}
   */
  get state() {
    return this.home.state;
  }

  /** The event that is being handled. @returns {Cause | null} */
  get cause() {
    return this.own ?? flow.getStore() ?? null;
  }

  /** The bus, for what this class has no word for. */
  get bus() {
    return this.home.bus;
  }

  /** The same, for the handling of `event`. @param {Envelope} event */
  within(event) {
    return new Context(this.home, new Cause(event), this.signal);
  }

  /**
   * Publish an event; returns when it is on its way.
   *
   * @param {string} topic
   * @param {unknown} [data] a JSON value, or a `Uint8Array`
   * @param {PublishOptions} [options]
   */
  async emit(topic, data = null, options = {}) {
    await this.bus.publish(topic, data, options, this.cause);
  }

  /**
   * Ask and wait for the first reply, also inside a handler: `request("topic", data)`, or
   * `request(thread, "topic", data)` to ask in a thread.
   *
   * @overload
   * @param {string} topic
   * @param {unknown} [data]
   * @param {RequestOptions} [options]
   * @returns {Promise<Envelope>}
   */
  /**
   * With `firstK` the first that many replies, in the order of arrival; fewer if no more came in time,
   * which one `collab.timeout` event tells.
   *
   * @overload
   * @param {string} topic
   * @param {unknown} data
   * @param {RequestOptions & {firstK: number}} options
   * @returns {Promise<Envelope[]>}
   */
  /**
   * @overload
   * @param {Thread} thread
   * @param {string} topic
   * @param {unknown} [data]
   * @param {RequestOptions} [options]
   * @returns {Promise<Envelope>}
   */
  /**
   * @param {string | Thread} target
   * @param {any[]} rest
   * @returns {Promise<any>}
   * @throws {RequestTimeout | NoResponders}
   */
  async request(target, ...rest) {
    let topic = target;
    let defaults = {};
    if (topic instanceof Thread) {
      defaults = { thread_id: topic.id, type: `${rest[0].split(".").at(-1)}.request` };
      topic = /** @type {string} */ (rest.shift());
    }
    const [data = null, { firstK, ...options } = {}] = rest;
    const asked = { signal: this.signal, ...defaults, ...options };
    if (firstK === undefined) return this.bus.request(topic, data, asked, this.cause);
    return this.#firstReplies(topic, data, firstK, asked);
  }

  /** @param {string} topic @param {unknown} data @param {number} wanted @param {RequestOptions} options */
  async #firstReplies(topic, data, wanted, { timeoutMs = 5000, signal, ...fields }) {
    if (!(wanted >= 1)) throw new RangeError(`firstK is ${wanted}, must be at least 1`);
    const end = performance.now() + timeoutMs;
    const timeout = timeoutMs / 1000;
    const threadId = this.threadId(fields.thread_id);
    const inbox = this.inbox();
    const replies = [];
    try {
      const asked = { expires: Date.now() / 1000 + timeout, ...fields, thread_id: threadId };
      const taken = await this.bus.publishConfirmed(
        topic, data, { ...asked, reply_to: inbox.patterns[0] }, this.cause,
      );
      if (taken === 0) throw new NoResponders(topic);
      while (replies.length < wanted) {
        const reply = await nextBefore(inbox, end - performance.now(), signal);
        if (!reply) break;
        replies.push(reply);
      }
    } finally {
      inbox.close();
    }
    if (replies.length < wanted) {
      const shortage = { topic, wanted, received: replies.length, timeout };
      await this.announce(threadId, "collab.timeout", shortage);
    }
    if (!replies.length) throw new RequestTimeout(topic, timeout);
    learn(this.cause, replies);
    return replies;
  }

  /**
   * Answer an event (or its thread) where it wants the answer, if somebody still waits.
   *
   * @param {Envelope | Thread} to
   * @param {unknown} [data]
   * @param {PublishOptions} [options]
   */
  async reply(to, data = null, options = {}) {
    const isEvent = to instanceof Envelope;
    const topic = isEvent ? to.reply_to : to.replyTo || to.replyTopic;
    const thread = isEvent ? to.thread_id : to.id;
    const correlation = isEvent ? to.correlation_id : to.correlationId || to.id;
    const fields = { type: "reply", thread_id: thread, correlation_id: correlation, ...options };
    await this.bus.publish(topic, data, fields, this.cause);
  }

  /**
   * Receive what is published to `patterns` from now on. To handle an event as its effect, use
   * `ctx.within(event)`.
   *
   * @param {...(string | import("./bus.js").SubscribeOptions)} patterns and at the end the options, if any
   */
  subscribe(...patterns) {
    const last = patterns.at(-1);
    const options = typeof last === "object" ? last : {};
    return this.bus.subscribe(patterns.filter((one) => typeof one === "string"), options);
  }

  /** A subscription to `count` new private topics, its `patterns`; close it in the end. */
  inbox(count = 1) {
    return this.bus.inbox(count);
  }

  /** The thread of an event, or the one of that id. @param {Envelope | string} event */
  thread(event) {
    if (typeof event === "string") return new Thread(event);
    return new Thread(event.thread_id, event.correlation_id, event.reply_to);
  }

  /** Receive what is broadcast in `thread` from now on. @param {Thread | string} thread */
  joinThread(thread) {
    const joined = typeof thread === "string" ? new Thread(thread) : thread;
    this.home.mailbox().add(joined.broadcastTopic);
    return joined;
  }

  /** Undo `joinThread`. @param {Thread | string} thread */
  leaveThread(thread) {
    const left = typeof thread === "string" ? new Thread(thread) : thread;
    this.home.mailbox().remove(left.broadcastTopic);
  }

  /**
   * Call tool `name` and return its output. `callId` makes a repeated call run once.
   *
   * @param {string} name
   * @param {Record<string, unknown>} [args]
   * @param {{version?: string, timeoutMs?: number, callId?: string, signal?: AbortSignal}} [options]
   * @returns {Promise<any>}
   * @throws {import("./errors.js").ToolError} with one of the error codes
   */
  async tool(name, args = {}, { version = "", timeoutMs = 0, callId = "", signal = this.signal } = {}) {
    const call = { name, arguments: args, id: callId, version, timeout: timeoutMs / 1000 };
    const number = this.cause ? this.bus.numberOf(this.cause) : 0;
    return outputOf(name, await this.bus.session.call(call, number, signal));
  }

  /** The thread that is meant: the given one, that of the event being handled, or a new one. @param {Thread | string} [thread] */
  threadId(thread) {
    if (thread) return typeof thread === "string" ? thread : thread.id;
    return this.cause?.event.thread_id ?? crypto.randomUUID().replaceAll("-", "");
  }

  /** Tell the thread how it ended. @param {string} threadId @param {string} type @param {unknown} data */
  async announce(threadId, type, data) {
    const options = { type, thread_id: threadId, tags: ["collab"], priority: 40 };
    try {
      await this.bus.publish(`thread.${threadId}.reply`, data, options, this.cause);
    } catch (error) {
      this.home.log.warn(`loom: ${type} did not reach thread ${threadId}:`, error);
    }
  }
}
