/**
 * The envelope: the one record that moves through Loom, as its JSON object has it.
 *
 * Its names are the same in every language; docs/reference/envelope.md says what they mean.
 */

import { fromBase64, toBase64 } from "#platform";

import { InvalidEnvelope, show } from "./errors.js";

/** @typedef {(value: any) => boolean} Check */

/** @type {Check} */
const text = (value) => typeof value === "string";
/** @type {Check} */
const number = (value) => Number.isFinite(value);
/** @type {Check} */
const count = (value) => Number.isSafeInteger(value) && value >= 0;
/** @type {Check} */
const texts = (value) => Array.isArray(value) && value.every(text);
/** @param {Check} each @returns {Check} */
const mapOf = (each) => (value) => isObject(value) && Object.values(value).every(each);

/** Every reserved name but those of the data, and what its value must be. @type {Readonly<Record<string, Check>>} */
const FIELDS = Object.freeze({
  id: text,
  type: text,
  source: text,
  time: (value) => number(value) && Number.isSafeInteger(Math.trunc(value * 1000)),
  ts: Number.isSafeInteger,
  topic: text,
  subject: text,
  content_type: text,
  metadata: mapOf(text),
  tags: texts,
  priority: count,
  confidence: number,
  thread_id: text,
  correlation_id: text,
  causation_id: text,
  sender: text,
  reply_to: text,
  ttl: count,
  hop: count,
  traceparent: text,
  labels: texts,
  budget: (value) => value === null || mapOf(number)(value),
  expires: number,
  dropped_before: count,
});

/** One event, read-only to its depths. A name in its JSON object that is not reserved is a property too. */
export class Envelope {
  /** UUIDv7: unique, sorts by time. @type {string} */
  id;
  /** What kind of event this is. @type {string} */
  type;
  /** URI reference of the producer. @type {string} */
  source;
  /** UNIX seconds, UTC. @type {number} */
  time;
  /** Where it was published. @type {string} */
  topic;
  /** What the event is about. @type {string} */
  subject;
  /** Media type of the payload; empty = JSON, or octets for bytes. @type {string} */
  content_type;
  /** @type {Readonly<Record<string, string>>} */
  metadata;
  /** @type {readonly string[]} */
  tags;
  /** 0 to 100. @type {number} */
  priority;
  /** 0 to 1. @type {number} */
  confidence;
  /** Groups a conversation. @type {string} */
  thread_id;
  /** Ties a reply to its request. @type {string} */
  correlation_id;
  /** Id of the event whose handling published this one. @type {string} */
  causation_id;
  /** Who published it. @type {string} */
  sender;
  /** Where a reply goes. @type {string} */
  reply_to;
  /** Hops left. @type {number} */
  ttl;
  /** Hops so far. @type {number} */
  hop;
  /** W3C trace context. @type {string} */
  traceparent;
  /** Sorted. @type {readonly string[]} */
  labels;
  /** What may be spent, by unit; null = no limit. @type {Readonly<Record<string, number>> | null} */
  budget;
  /** UNIX seconds; 0 = never. @type {number} */
  expires;
  /** How many events the subscription lost before this one. @type {number} */
  dropped_before;

  /** @type {Record<string, any>} */
  #record;

  /**
   * @param {object} record the JSON object, parsed
   * @param {{copy?: boolean}} [options] `copy` false = the record is given away, and becomes read-only
   * @throws {InvalidEnvelope} a reserved name is missing, or its value is of the wrong kind
   */
  constructor(record, { copy = true } = {}) {
    check(record);
    this.#record = freeze(copy ? structuredClone(record) : record);
    for (const [name, value] of Object.entries(this.#record)) {
      // Not by assignment: a record may bear any name, `__proto__` and `toJSON` included.
      if (!(name in Envelope.prototype)) Object.defineProperty(this, name, { value, enumerable: true });
    }
    Object.freeze(this);
  }

  /** `time` in whole milliseconds. */
  get ts() {
    return Math.trunc(this.time * 1000);
  }

  /** The value that was published: of any JSON type, or a new `Uint8Array` if it is bytes. */
  get data() {
    if (!Object.hasOwn(this.#record, "data_base64")) return this.#record.data;
    return fromBase64(this.#record.data_base64);
  }

  /** The 32 hex digits that all events of one trace share. */
  get traceId() {
    return this.traceparent.slice(3, 35);
  }

  /** The JSON object it was made from, unknown names included; `JSON.stringify` calls this. */
  toJSON() {
    return { ...this.#record, ts: this.ts };
  }
}

/** @param {any} record */
function check(record) {
  if (!isObject(record)) throw new InvalidEnvelope("the record", "is not an object");
  for (const [name, isRight] of Object.entries(FIELDS)) {
    if (!Object.hasOwn(record, name)) throw new InvalidEnvelope(name, "is missing");
    if (!isRight(record[name])) {
      throw new InvalidEnvelope(name, `cannot be ${show(record[name])}`);
    }
  }
  const binary = Object.hasOwn(record, "data_base64");
  if (binary === Object.hasOwn(record, "data")) {
    throw new InvalidEnvelope("data", "or data_base64 must be there, and only one of them");
  }
  if (binary && !isBase64(record.data_base64)) throw new InvalidEnvelope("data_base64", "is not base64");
}

/** @param {unknown} value */
function isBase64(value) {
  try {
    return typeof value === "string" && toBase64(fromBase64(value)) === value;
  } catch {
    return false;
  }
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Make `value` and all it holds read-only, and return it.
 *
 * @template T
 * @param {T} value
 * @returns {T}
 */
function freeze(value) {
  /** @type {unknown[]} */
  const waiting = [value];
  while (waiting.length) {
    const next = waiting.pop();
    if (typeof next !== "object" || next === null) continue;
    for (const inner of Object.values(next)) waiting.push(inner);
    Object.freeze(next);
  }
  return value;
}
