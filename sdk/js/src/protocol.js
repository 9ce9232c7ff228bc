/**
 * What a session's messages hold, and how values become JSON text.
 *
 * The protocol is that of docs/reference/bridge.md; over WebSocket a frame is one JSON object.
 */

import { sizeOf, toBase64 } from "#platform";

import { LoomError, PayloadNotSerializable, show } from "./errors.js";

/**
 * What an author may set of an event besides topic, type and data; docs/reference/envelope.md.
 *
 * @typedef {object} Fields
 * @property {string} [subject]
 * @property {number} [priority]
 * @property {number} [confidence]
 * @property {string[]} [tags]
 * @property {Record<string, string>} [metadata]
 * @property {string} [content_type]
 * @property {string} [reply_to]
 * @property {string} [thread_id]
 * @property {string} [correlation_id]
 * @property {string[]} [labels]
 * @property {number} [ttl]
 * @property {Record<string, number>} [budget]
 * @property {number} [expires]
 */

/**
 * @typedef {object} ToolDescriptor
 * @property {string} name
 * @property {string} description
 * @property {object} parameters JSON Schema of the arguments
 * @property {string} version
 * @property {object} [result] JSON Schema of the output
 * @property {string} [provider]
 * @property {number} [timeout] seconds
 * @property {{read_only?: boolean, destructive?: boolean, idempotent?: boolean}} [hints]
 * @property {string[]} [permissions] what it needs: `fs.read`, `net`, or words of its own
 * @property {string[]} [labels] what its results carry, e.g. `untrusted`
 * @property {number} [concurrency] calls at once; 0 = as many as come
 */

/** @typedef {{name: string, arguments?: Record<string, unknown>, id?: string, version?: string, timeout?: number, caller?: string, reason?: string}} ToolCall */

/** @typedef {{id: string, code?: string, output?: unknown, error?: {message: string, details?: Record<string, unknown>} | null, duration?: number}} ToolResult */

/**
 * The server's first message, with the terms of the session; times in seconds, sizes in bytes.
 *
 * @typedef {object} Welcome
 * @property {string} session
 * @property {string} key
 * @property {number} epoch
 * @property {string} name
 * @property {boolean} resumed
 * @property {number} seen
 * @property {number} heartbeat
 * @property {number} lease
 * @property {number} max_frame
 * @property {number} max_payload
 * @property {boolean} keeps whether what an agent knows is kept, and events that failed come again
 * @property {string} state what the agent knew, as JSON in base64; empty if it is new
 */

/** What a server that says nothing else means. @type {Welcome} */
export const TERMS = Object.freeze({
  session: "",
  key: "",
  epoch: 0,
  name: "",
  resumed: false,
  seen: 0,
  heartbeat: 5,
  lease: 15,
  max_frame: 4 << 20,
  max_payload: 1 << 20,
  keeps: false,
  state: "",
});

/** A message that is to be sent: its JSON text, but for `cause`, which a new session would not know. */
export class Message {
  /**
   * @param {string} kind
   * @param {string} text
   * @param {number} [cause] the number of the delivery whose handling says it
   */
  constructor(kind, text, cause = 0) {
    this.kind = kind;
    this.cause = cause;
    this.body = text;
    this.size = sizeOf(text) + 32;
  }

  /** The whole message. */
  get text() {
    return this.cause ? `${this.body.slice(0, -1)},"cause":${this.cause}}` : this.body;
  }
}

/**
 * The message `kind` that holds `rest`.
 *
 * @param {string} kind
 * @param {object} [rest]
 * @param {number} [cause]
 */
export function message(kind, rest = {}, cause = 0) {
  return new Message(kind, encode({ kind, ...rest }, kind), cause);
}

/**
 * The message that publishes `data`, a JSON value or octets, and the size of the data in bytes.
 *
 * @param {string} topic
 * @param {unknown} data
 * @param {object} rest
 * @param {number} cause
 * @returns {[Message, number]}
 */
export function publishMessage(topic, data, rest, cause) {
  const head = encode({ kind: "publish", topic, ...rest }, topic).slice(0, -1);
  if (data instanceof Uint8Array) {
    return [new Message("publish", `${head},"data_base64":"${toBase64(data)}"}`, cause), data.length];
  }
  const text = encode(data ?? null, topic);
  return [new Message("publish", `${head},"data":${text}}`, cause), sizeOf(text)];
}

/**
 * `value` as strict JSON.
 *
 * @param {unknown} value
 * @param {string} topic what it is for, in an error's text
 * @throws {PayloadNotSerializable}
 */
export function encode(value, topic) {
  try {
    return JSON.stringify(value, strict) ?? "null";
  } catch (error) {
    throw new PayloadNotSerializable(topic, error instanceof Error ? error.message : String(error));
  }
}

/** @param {string} name @param {unknown} value */
function strict(name, value) {
  const kind = typeof value;
  const isPlain = kind !== "function" && kind !== "symbol" && !(value instanceof Map || value instanceof Set);
  if (isPlain && (kind !== "number" || Number.isFinite(value))) return value;
  throw new TypeError(`${show(value)} at ${show(name)}`);
}

/** @type {Readonly<Record<string, [number, number]>>} */
const RANGES = Object.freeze({ priority: [0, 100], confidence: [0, 1], ttl: [1, 16] });
const NAMES = new Set([
  "subject", "priority", "confidence", "tags", "metadata", "content_type", "reply_to", "thread_id",
  "correlation_id", "labels", "ttl", "budget", "expires",
]);

/**
 * `fields`, whose names an author may set and whose numbers are in range.
 *
 * @param {Fields} fields
 * @returns {Fields | undefined} nothing if there are none
 */
export function checkFields(fields) {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined);
  for (const [name, value] of known) {
    if (!NAMES.has(name)) throw new LoomError(`${show(name)} is not a field an author can set`);
    const range = RANGES[name];
    if (range && !(typeof value === "number" && value >= range[0] && value <= range[1])) {
      throw new LoomError(`${name} is ${show(value)}, must be ${range[0]} to ${range[1]}`);
    }
  }
  return known.length ? Object.fromEntries(known) : undefined;
}
