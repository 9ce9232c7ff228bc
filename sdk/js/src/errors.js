/**
 * What can go wrong, under the names that it has in Python too.
 *
 * LoomError
 * ├── InvalidTopic             a topic or pattern does not follow the grammar
 * ├── InvalidEnvelope          a field of an event holds what it may not hold
 * │   ├── PayloadTooLarge
 * │   └── PayloadNotSerializable
 * ├── HopLimitExceeded         an event caused an event that caused an event … too often
 * ├── BackpressureTimeout      there is no room now
 * ├── BusClosed                the agent, or its session, is over
 * ├── RequestTimeout           nobody answered in time
 * ├── NoResponders             nobody listens
 * ├── ToolError                a tool call that did not end with ACTION_OK
 * ├── BarrierTimeout           not all members came
 * ├── Retry                    thrown by a handler: deliver this event again
 * ├── Reject                   thrown by a handler: never deliver this event again
 * └── BridgeError              the connection or the session did not do what was asked
 *     ├── ProtocolError        the other end did not keep to the protocol
 *     ├── Refused              the other end said no; trying again is useless
 *     └── Disconnected         there is no connection now
 */

/** The root of every error that Loom raises on purpose. */
export class LoomError extends Error {
  /** What a program may tell it by. @type {string} */
  code;

  /** @param {string} message @param {{code?: string, cause?: unknown}} [options] */
  constructor(message, options = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
    this.code = options.code ?? this.name;
  }
}

/** A topic or pattern does not follow the grammar; `problem` says which rule it breaks. */
export class InvalidTopic extends LoomError {
  /** @param {unknown} topic @param {string} problem @param {string} words */
  constructor(topic, problem, words) {
    super(`invalid topic ${show(topic)}: ${words}`);
    this.topic = topic;
    this.problem = problem;
  }
}

/** A field of an envelope holds what it may not hold. */
export class InvalidEnvelope extends LoomError {
  /** @param {string} field the name that is wrong or missing @param {string} problem */
  constructor(field, problem) {
    super(`invalid envelope: ${field} ${problem}`);
    this.field = field;
  }
}

/** The payload is over the limit (bytes). */
export class PayloadTooLarge extends InvalidEnvelope {
  /** @param {string} topic @param {number} size @param {number} limit */
  constructor(topic, size, limit) {
    super("data", `for ${show(topic)} is ${size} bytes, the limit is ${limit}; publish a reference instead`);
    this.topic = topic;
    this.size = size;
    this.limit = limit;
  }
}

/** The data has no JSON form. */
export class PayloadNotSerializable extends InvalidEnvelope {
  /** @param {string} topic @param {string} problem */
  constructor(topic, problem) {
    super("data", `for ${show(topic)} has no JSON form (${problem}); use plain data or a Uint8Array`);
    this.topic = topic;
  }
}

/** An event caused an event that caused an event … until its ttl was used up. */
export class HopLimitExceeded extends LoomError {
  /** @param {string} topic @param {string} threadId @param {number} hop */
  constructor(topic, threadId, hop) {
    super(`not published to ${show(topic)}: hop ${hop} of thread ${show(threadId)} used up its ttl`);
    this.topic = topic;
    this.threadId = threadId;
    this.hop = hop;
  }
}

/** Thrown by a handler: deliver this event again, after `delay` seconds (less than 0 = the usual back-off). */
export class Retry extends LoomError {
  /** @param {string} [reason] @param {number} [delay] */
  constructor(reason = "its handler wants it again", delay = -1) {
    super(reason);
    this.delay = delay;
  }
}

/** Thrown by a handler: never deliver this event again. It becomes a dead letter. */
export class Reject extends LoomError {}

/** The other end is thousands of messages behind. */
export class BackpressureTimeout extends LoomError {
  /** @param {string} topic */
  constructor(topic) {
    super(`not published to ${show(topic)}: the other end is too far behind`);
    this.topic = topic;
  }
}

/** The session is over, or the subscription was ended. */
export class BusClosed extends LoomError {}

/** A request was taken, but not answered in time (seconds). */
export class RequestTimeout extends LoomError {
  /** @param {string} topic @param {number} timeout */
  constructor(topic, timeout) {
    super(`no reply from ${show(topic)} within ${timeout} s`);
    this.topic = topic;
    this.timeout = timeout;
  }
}

/** A request met no subscription at all. */
export class NoResponders extends LoomError {
  /** @param {string} topic */
  constructor(topic) {
    super(`nobody is subscribed to ${show(topic)}, so no one can answer`);
    this.topic = topic;
  }
}

/** A tool call that did not end with ACTION_OK; `code` tells what to do about it. */
export class ToolError extends LoomError {
  /** @param {string} tool @param {string} code @param {string} reason @param {Record<string, unknown>} [details] */
  constructor(tool, code, reason, details = {}) {
    super(`${tool}: ${code}: ${reason}`, { code });
    this.tool = tool;
    this.reason = reason;
    this.details = details;
  }
}

/** Not all members came in time (seconds): start the missing, or give them longer. */
export class BarrierTimeout extends LoomError {
  /** @param {string} barrier @param {string[]} missing @param {string[]} left @param {number} timeout */
  constructor(barrier, missing, left, timeout) {
    const absent = missing.length ? missing : left;
    const problem = missing.length ? "did not come" : "left again";
    super(`barrier ${show(barrier)}: ${absent.map(show).join(", ")} ${problem} within ${timeout} s`);
    this.barrier = barrier;
    /** Ids of the members that did not come, sorted; if all came, of those who left again. */
    this.missing = absent;
    /** Ids of those who came and did not wait long enough, sorted. */
    this.left = left;
    this.timeout = timeout;
  }
}

/** The connection or the session did not do what was asked; `code` is a name of google.rpc.Code. */
export class BridgeError extends LoomError {
  /** @param {string} code @param {string} reason */
  constructor(code, reason) {
    super(`${code}: ${reason}`, { code });
    this.reason = reason;
  }
}

/** The other end sent what the protocol does not allow. */
export class ProtocolError extends BridgeError {}

/** The other end does not let us in, or does not let us do this. */
export class Refused extends BridgeError {}

/** There is no connection, and waiting for one took too long. */
export class Disconnected extends BridgeError {}

/**
 * `value` as a person would like to see it in a message.
 *
 * @param {unknown} value
 * @returns {string}
 */
export function show(value) {
  if (typeof value === "string") return `'${value}'`;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? "an object";
  } catch {
    return "an object";
  }
}
