/** The bus at the other end of a session. */

import { Flow } from "#platform";

import { Envelope } from "./envelope.js";
import {
  BackpressureTimeout, Disconnected, HopLimitExceeded, NoResponders, PayloadTooLarge, RequestTimeout,
} from "./errors.js";
import { checkFields, message, publishMessage } from "./protocol.js";
import { nextBefore, Subscription } from "./subscription.js";
import { checkPattern, checkTopic } from "./topics.js";

/** @typedef {import("./protocol.js").Fields} Fields */
/** @typedef {Fields & {type?: string}} PublishOptions */
/** @typedef {PublishOptions & {timeoutMs?: number, signal?: AbortSignal}} RequestOptions */
/**
 * @typedef {object} SubscribeOptions
 * @property {"realtime" | "batched" | "background"} [qos]
 * @property {string} [overflow]
 * @property {number} [capacity] how many events may wait at the server
 * @property {string[]} [types]
 * @property {string} [group]
 */

/** Events that may be unacknowledged. */
const WINDOW = 1024;
const CAPACITY = Object.freeze({ realtime: 64, batched: 1024, background: 4096 });
export const MAILBOX = 0;
/** What is known of every call of one of our own tools; of its cause, only the server knows more. */
const CALL = Object.freeze({
  type: "tool.call", topic: "tool.call", source: "", content_type: "", metadata: {}, tags: [], priority: 50,
  confidence: 1, causation_id: "", reply_to: "", ttl: 16, hop: 0, traceparent: "", labels: [], budget: null,
  expires: 0, dropped_before: 0, data: null,
});

/** What is being handled, and the labels of all that was learned meanwhile. */
export class Cause {
  /** @param {Envelope} event */
  constructor(event) {
    this.event = event;
    this.labels = new Set(event.labels);
  }
}

/** The event being handled where this is asked. @type {Flow<Cause>} */
export const flow = new Flow();

/** Publishes, subscribes and asks through a session. */
export class Bus {
  /** @type {Map<number, Subscription>} */
  #subscriptions = new Map();
  /** @type {Map<number, object>} */
  #options = new Map();
  /** @type {Map<string, Subscription>} */
  #inboxes = new Map();
  /** What was delivered and not acknowledged. @type {Map<number, Envelope>} */
  #live = new Map();
  /** @type {WeakMap<Envelope, number>} */
  #numbers = new WeakMap();
  /** @type {object[] | null} */
  #tools = null;
  /** Events of a session that is over which come again in this one. @type {WeakSet<Envelope>} */
  #void = new WeakSet();
  #last = 0;
  #inbox = 0;
  #log;

  /** @param {import("./session.js").Session} session @param {Pick<Console, "error">} log */
  constructor(session, log) {
    this.session = session;
    this.#log = log;
    session.onDeliver = (delivery) => this.#deliver(delivery);
    session.restore = () => this.#restore();
  }

  // -- publishing ---------------------------------------------------------------------------

  /**
   * Send an event. Waits only if the server is thousands of messages behind.
   *
   * @param {string} topic
   * @param {unknown} data
   * @param {PublishOptions} options
   * @param {Cause | null} cause
   */
  async publish(topic, data, options, cause) {
    const said = this.#message(topic, data, options, cause);
    if (this.session.isFull) await this.session.room();
    this.session.send(said);
  }

  /**
   * Send an event, and learn how many subscriptions took it; -1 = a cut made that unknowable.
   *
   * @param {string} topic
   * @param {unknown} data
   * @param {PublishOptions} options
   * @param {Cause | null} cause
   */
  async publishConfirmed(topic, data, options, cause) {
    const said = this.#message(topic, data, options, cause, true);
    if (this.session.isFull) await this.session.room();
    return this.session.sendConfirmed(said);
  }

  /**
   * As `publish`, without waiting.
   *
   * @param {string} topic
   * @param {unknown} data
   * @param {PublishOptions} options
   * @param {Cause | null} cause
   */
  publishNow(topic, data, options, cause) {
    if (this.session.isFull) throw new BackpressureTimeout(topic);
    this.session.send(this.#message(topic, data, options, cause));
  }

  /**
   * @param {string} topic
   * @param {unknown} data
   * @param {PublishOptions} options
   * @param {Cause | null} cause
   */
  #message(topic, data, { type, ...fields }, cause, confirm = false) {
    checkTopic(topic);
    const number = cause ? this.numberOf(cause) : 0;
    if (cause && number && cause.event.ttl <= 1) {
      throw new HopLimitExceeded(topic, cause.event.thread_id, cause.event.hop + 1);
    }
    const learned = cause ? [...cause.labels].filter((label) => !cause.event.labels.includes(label)) : [];
    if (learned.length) fields.labels = [...new Set([...(fields.labels ?? []), ...learned])];
    const rest = { ...(type && { type }), ...(confirm && { confirm }), fields: checkFields(fields) };
    const [said, size] = publishMessage(topic, data, rest, number);
    const { max_payload: limit, max_frame: longest } = this.session.welcome;
    if (size > limit) throw new PayloadTooLarge(topic, size, limit);
    if (said.size > longest) throw new PayloadTooLarge(topic, said.size, longest);
    return said;
  }

  /** Whether `event` comes again in another session than it came in. @param {Envelope} event */
  isVoid(event) {
    return this.#void.has(event);
  }

  /**
   * The number of the delivery that `cause` is; 0 when it is done with.
   *
   * @param {Cause} cause
   * @throws {Disconnected} its event comes again; what it causes now would be done twice
   */
  numberOf({ event }) {
    if (this.isVoid(event)) {
      const again = `event ${event.id} comes again in another session; what it causes now is void`;
      throw new Disconnected("ABORTED", again);
    }
    const number = this.#numbers.get(event) ?? 0;
    return this.#live.get(number) === event ? number : 0;
  }

  /**
   * Publish and wait for the first reply.
   *
   * @param {string} topic
   * @param {unknown} data
   * @param {RequestOptions} options
   * @param {Cause | null} cause
   * @returns {Promise<Envelope>}
   */
  async request(topic, data, { timeoutMs = 5000, signal, ...rest }, cause) {
    const inbox = this.inbox(1);
    const seconds = timeoutMs / 1000;
    const [address] = inbox.patterns;
    const fields = { expires: Date.now() / 1000 + seconds, ...rest, reply_to: address };
    try {
      const taken = this.publishConfirmed(topic, data, fields, cause);
      const reply = await Promise.race([nextBefore(inbox, timeoutMs, signal), refusal(topic, taken)]);
      if (!reply) {
        this.report("request.timed_out", { topic, timeout: seconds });
        throw new RequestTimeout(topic, seconds);
      }
      learn(cause, [reply]);
      return reply;
    } finally {
      inbox.close();
    }
  }

  // -- subscribing --------------------------------------------------------------------------

  /** @param {string[]} patterns @param {SubscribeOptions} options @param {number} [number] */
  subscribe(patterns, options, number = ++this.#last) {
    if (!patterns.length) throw new TypeError("subscribe to at least one pattern");
    const wanted = [...new Set(patterns.map(checkPattern))];
    const capacity = options.capacity ?? CAPACITY[options.qos ?? "batched"];
    const subscription = new Subscription(this, wanted);
    const said = { sub: number, ...options, capacity, window: Math.min(capacity, WINDOW) };
    this.#subscriptions.set(number, subscription);
    this.#options.set(number, said);
    this.session.send(message("subscribe", { ...said, patterns: wanted }));
    return subscription;
  }

  /** A subscription to `count` new private topics; it costs the server nothing. @param {number} count */
  inbox(count) {
    const name = () => `$inbox.${this.session.welcome.session}.${++this.#inbox}`;
    const inbox = new Subscription(this, Array.from({ length: count }, name));
    for (const topic of inbox.patterns) this.#inboxes.set(topic, inbox);
    return inbox;
  }

  /** @param {Subscription} subscription @param {string} pattern */
  listen(subscription, pattern) {
    const number = this.#numberOfSubscription(subscription);
    const said = { ...this.#options.get(number), patterns: [checkPattern(pattern)] };
    this.session.send(message("subscribe", said));
  }

  /** @param {Subscription} subscription @param {string} pattern */
  unlisten(subscription, pattern) {
    const number = this.#numberOfSubscription(subscription);
    this.session.send(message("unsubscribe", { sub: number, patterns: [pattern] }));
  }

  /** Deliver nothing to it any more. @param {Subscription} subscription */
  forget(subscription) {
    for (const topic of subscription.patterns) {
      if (this.#inboxes.get(topic) === subscription) this.#inboxes.delete(topic);
    }
    const number = this.#numberOfSubscription(subscription);
    if (number < 0) return;
    this.#subscriptions.delete(number);
    this.#options.delete(number);
    if (!this.session.isOver) this.session.send(message("unsubscribe", { sub: number }));
  }

  /** @param {Subscription} subscription */
  #numberOfSubscription(subscription) {
    for (const [number, known] of this.#subscriptions) if (known === subscription) return number;
    return -1;
  }

  /**
   * Acknowledge `event`.
   *
   * @param {Envelope} event
   * @param {boolean} hasFailed
   * @param {{reason?: string, outcome?: string, delay?: number, state?: string}} [more] why it failed; or
   *   what the agent knows from now on, as base64
   */
  settle(event, hasFailed, more = {}) {
    const number = this.#numbers.get(event) ?? 0;
    if (this.#live.get(number) !== event) return;
    this.#live.delete(number);
    if (this.session.welcome.keeps && (hasFailed || more.state)) {
      this.session.send(message("settle", { delivery: number, ...(hasFailed && { outcome: "failed" }), ...more }));
    } else {
      this.session.settle(number, hasFailed);
    }
  }

  /** End all subscriptions. */
  close() {
    for (const known of [...this.#subscriptions.values(), ...this.#inboxes.values()]) known.close();
  }

  /** @param {{sub: number, number?: number, event: object}} delivery */
  #deliver({ sub, number = 0, event: record }) {
    const event = new Envelope(record, { copy: false });
    const subscription = this.#subscriptions.get(sub);
    if (subscription && number) {
      this.#live.set(number, event);
      this.#numbers.set(event, number);
    } else if (number) {
      this.session.settle(number, false);
    }
    (subscription ?? this.#inboxes.get(event.topic))?.offer(event);
  }

  /** What a new session has to know, and what of the old one comes again in it. */
  #restore() {
    const again = this.session.welcome.keeps ? this.#voided() : new Set();
    this.#live.clear();
    const known = [...this.#subscriptions].map(([number, { patterns }]) =>
      message("subscribe", { ...this.#options.get(number), patterns }));
    return { first: this.#tools ? [...known, message("offer", { tools: this.#tools })] : known, again };
  }

  /**
   * A journal delivers again what the mailbox was given in the session before: what waits there is
   * dropped, and what is being handled is void.
   *
   * @returns {Set<number>} the numbers of all that in the session before
   */
  #voided() {
    const events = [...this.#live].filter(([, event]) => comesAgain(event));
    for (const [, event] of events) this.#void.add(event);
    this.#subscriptions.get(MAILBOX)?.drop((event) => this.#void.has(event));
    return new Set(events.map(([number]) => number));
  }

  // -- the rest -----------------------------------------------------------------------------

  /**
   * What causes all that one of our own tools says while it runs a call.
   *
   * @param {number} number by which the server knows the call
   * @param {import("./protocol.js").ToolCall & {caller?: string}} call
   */
  begin(number, { id = "", caller = "" }) {
    const now = Date.now();
    const own = crypto.randomUUID();
    const event = new Envelope({
      ...CALL, id: own, thread_id: own.replaceAll("-", ""), correlation_id: own, time: now / 1000, ts: now,
      sender: caller, subject: id,
    });
    if (number) {
      this.#live.set(number, event);
      this.#numbers.set(event, number);
    }
    return new Cause(event);
  }

  /** The call that `begin` was told of has ended. @param {Cause} cause */
  end({ event }) {
    const number = this.#numbers.get(event) ?? 0;
    if (this.#live.get(number) === event) this.#live.delete(number);
  }

  /** Offer `tools`, and no others, from now on. @param {import("./protocol.js").ToolDescriptor[]} tools */
  offer(tools) {
    this.#tools = tools;
    this.session.send(message("offer", { tools }));
  }

  /** @param {"error" | "request.timed_out"} about @param {Record<string, unknown>} details */
  report(about, details) {
    if (!this.session.isOver) this.session.send(message("report", { about, details }));
  }

  /** Tell the log and `$loom.error` of a failure. @param {string} source @param {unknown} error @param {object} details */
  reportError(source, error, details) {
    this.#log.error(`loom: ${source} failed:`, error);
    const [name, text] = error instanceof Error ? [error.name, error.message] : ["Error", String(error)];
    this.report("error", { code: "ACTION_ERROR", source, error: name, message: text, ...details });
  }
}

/**
 * Let what `cause` causes from now on bear the labels of `events` too.
 *
 * @param {Cause | null} cause
 * @param {Iterable<Envelope>} events
 */
export function learn(cause, events) {
  for (const event of events) for (const label of event.labels) cause?.labels.add(label);
}

/**
 * Fails as soon as it is known that nobody heard; else it never ends.
 *
 * @param {string} topic
 * @param {Promise<number>} taken
 * @returns {Promise<never>}
 */
async function refusal(topic, taken) {
  if ((await taken) === 0) throw new NoResponders(topic);
  return new Promise(() => {});
}

/**
 * Whether a journal has `event`. It never keeps requests whose askers wait at an inbox. `tool.call` is
 * what causes that which our own tools say.
 *
 * @param {Envelope} event
 */
function comesAgain({ topic, reply_to: replyTo }) {
  const isPrivate = topic.startsWith("$") || topic.startsWith("dlq.") || topic === "tool.call";
  return !(isPrivate || replyTo.startsWith("$inbox."));
}
