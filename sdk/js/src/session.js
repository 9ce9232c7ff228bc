/** A client's end of a session: connects, keeps the session through cuts, and says what is said. */

import { openSocket } from "#platform";

import { BridgeError, BusClosed, Disconnected, ProtocolError, Refused } from "./errors.js";
import { message, TERMS } from "./protocol.js";
import { Stream } from "./stream.js";

/** Milliseconds between two attempts to connect: doubled from the first to the longest, with jitter. */
const FIRST_DELAY = 50;
const LONGEST_DELAY = 2000;
/** Milliseconds that one attempt may take, and that a goodbye may. */
const PATIENCE = 10_000;
const FAREWELL = 2000;
/** Refusals that the same hello would meet again. */
const FATAL = new Set(["UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "ALREADY_EXISTS", "ABORTED"]);
/** What of a lost session is said to the one after it. */
const LASTING = new Set(["publish", "call", "report"]);
/** By status of an answer that is no WebSocket. */
const REFUSALS = new Map([[401, "UNAUTHENTICATED"], [403, "PERMISSION_DENIED"]]);

/** @typedef {import("./platform/socket.js").Socket} Socket */
/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void}} Promised */

/** One session, through as many connections as it takes. */
export class Session {
  /** The terms, once it is open. */
  welcome = TERMS;
  /** How often the connection was made again. */
  reconnects = 0;
  isOver = false;
  /** What to do with each event that arrives. @type {(delivery: any) => void} */
  onDeliver = () => {};
  /**
   * What a new session has to be told first, subscriptions and tools; and the numbers of the deliveries
   * that come again in it: what they caused and was not heard is void.
   *
   * @type {() => {first: import("./protocol.js").Message[], again: Set<number>}}
   */
  restore = () => ({ first: [], again: new Set() });
  /** What runs this client's own tools. @type {((call: any) => void)} */
  onCall = () => {};
  /** @type {(ref: number) => void} */
  onCancel = () => {};
  /** Called once, when the session is over for good. @type {(reason: string) => void} */
  onOver = () => {};

  #address;
  #hello;
  #log;
  #stream = new Stream();
  /** @type {Socket | null} */
  #socket = null;
  #isOpen = false;
  #isWriting = false;
  #isDue = false;
  #isLeaving = false;
  /** @type {Promised | null} */
  #opening = null;
  /** @type {Map<number, Promised>} */
  #taken = new Map();
  /** @type {Map<number, Promised & {message: import("./protocol.js").Message}>} */
  #calls = new Map();
  #refs = 0;
  /** @type {number[]} */
  #settled = [];
  #failed = 0;
  /** @type {(() => void)[]} */
  #waitingForRoom = [];
  #heard = 0;
  #spoke = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #beat;

  /**
   * @param {import("./address.js").Address} address
   * @param {{token: string, agent?: string, software?: string, metadata?: Record<string, string>}} hello
   * @param {Pick<Console, "warn" | "error">} log
   */
  constructor(address, hello, log) {
    this.#address = address;
    this.#hello = { ...hello, session: "", key: "", seen: 0 };
    this.#log = log;
  }

  // -- saying things ------------------------------------------------------------------------

  /** Whether so much is unsaid that whoever publishes should wait for `room`. */
  get isFull() {
    return this.#stream.isFull;
  }

  /** Wait until the server has caught up. @returns {Promise<void>} */
  async room() {
    while (this.isFull && !this.isOver) await new Promise((done) => this.#waitingForRoom.push(() => done(null)));
  }

  /** Say `one` as soon as possible, after a cut too; its number. @param {import("./protocol.js").Message} one */
  send(one) {
    if (this.isOver) throw new BusClosed(`the session with ${this.#address.name} is over`);
    const number = this.#stream.put(one);
    this.#wake();
    return number;
  }

  /**
   * Say `one`, and learn how many subscriptions took it; -1 = a cut made that unknowable.
   *
   * @param {import("./protocol.js").Message} one
   * @returns {Promise<number>}
   */
  sendConfirmed(one) {
    const number = this.send(one);
    return new Promise((resolve, reject) => this.#taken.set(number, { resolve, reject }));
  }

  /**
   * Run a tool at the other end; always a result.
   *
   * @param {import("./protocol.js").ToolCall} call
   * @param {number} cause
   * @param {AbortSignal} [signal]
   * @returns {Promise<import("./protocol.js").ToolResult>}
   */
  call(call, cause, signal) {
    const ref = ++this.#refs;
    const said = message("call", { ref, call }, cause);
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const cancel = () => {
        if (this.#calls.delete(ref) && !this.isOver) this.send(message("cancel", { ref }));
        reject(signal?.reason);
      };
      /** @param {import("./protocol.js").ToolResult} result */
      const answer = (result) => {
        signal?.removeEventListener("abort", cancel);
        resolve(result);
      };
      this.send(said);
      this.#calls.set(ref, { resolve: answer, reject, message: said });
      signal?.addEventListener("abort", cancel);
    });
  }

  /** Acknowledge a delivery. @param {number} number @param {boolean} hasFailed */
  settle(number, hasFailed) {
    this.#settled.push(number);
    if (hasFailed) this.#failed += 1;
    this.#wake();
  }

  // -- the connection -----------------------------------------------------------------------

  /** Connect for the first time. @throws {Refused | Disconnected} */
  async open() {
    try {
      await this.#attempt();
    } catch (error) {
      this.#end("");
      throw error;
    }
  }

  /** Say goodbye and end; returns when the connection is closed. */
  async close() {
    if (this.isOver) return;
    this.#isLeaving = true;
    const socket = this.#socket;
    if (socket && this.#isOpen) {
      this.#stream.put(message("bye"));
      await this.#flushed(socket);
    }
    this.#end("");
  }

  /** @param {Socket} socket */
  #flushed(socket) {
    return new Promise((done) => {
      const timer = setTimeout(done, FAREWELL);
      const finish = () => { clearTimeout(timer); done(null); };
      socket.onClose(finish);
      void this.#flush().then(async () => {
        while (this.#isWriting) await new Promise((next) => setTimeout(next, 1));
        socket.close();
      });
    });
  }

  /** One try: a connection, a hello, a welcome. */
  async #attempt() {
    const { url, path, name } = this.#address;
    const socket = openSocket(url, { path, limit: TERMS.max_frame, patience: PATIENCE });
    this.#socket = socket;
    this.#isOpen = false;
    this.#hello.seen = this.#stream.seen;
    /** @type {Promise<void>} */
    const opened = new Promise((resolve, reject) => (this.#opening = { resolve, reject }));
    const timer = setTimeout(() => this.#cut(socket, `no answer in ${PATIENCE / 1000} s`), PATIENCE);
    socket.onOpen(() => void socket.send(JSON.stringify({ messages: [{ kind: "hello", ...this.#hello }] })));
    socket.onText((text) => this.#received(socket, text));
    socket.onClose((reason, status) => {
      const refusal = REFUSALS.get(status);
      this.#cut(socket, reason, refusal ? new Refused(refusal, `${name}: ${reason}`) : undefined);
    });
    try {
      await opened;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The connection is no good any more. @param {Socket} socket @param {string} reason @param {BridgeError} [error] */
  #cut(socket, reason, error) {
    if (socket !== this.#socket) return;
    const wasOpen = this.#isOpen;
    this.#socket = null;
    this.#isOpen = false;
    clearInterval(this.#beat);
    socket.abort();
    const opening = this.#opening;
    this.#opening = null;
    opening?.reject(error ?? new Disconnected("UNAVAILABLE", `${this.#address.name}: ${reason}`));
    if (!wasOpen || this.#isLeaving || this.isOver) return;
    this.#log.warn(`loom: the connection to ${this.#address.name} is lost: ${reason}`);
    void this.#reconnect();
  }

  async #reconnect() {
    for (let delay = FIRST_DELAY; !this.isOver && !this.#isLeaving; delay = Math.min(delay * 2, LONGEST_DELAY)) {
      try {
        await this.#attempt();
        this.reconnects += 1;
        return;
      } catch (error) {
        if (error instanceof Refused && FATAL.has(error.code)) return this.#end(error.message);
        await new Promise((done) => setTimeout(done, delay * (0.5 + Math.random() / 2)));
      }
    }
  }

  /** Nothing will be answered any more. @param {string} reason */
  #end(reason) {
    if (this.isOver) return;
    this.isOver = true;
    const socket = this.#socket;
    this.#socket = null;
    this.#isOpen = false;
    clearInterval(this.#beat);
    socket?.abort();
    for (const { resolve } of this.#calls.values()) resolve(unknown());
    for (const { reject } of this.#taken.values()) reject(new BusClosed("the session is over"));
    this.#calls.clear();
    this.#taken.clear();
    this.#letIn();
    if (reason) this.#log.error(`loom: the session with ${this.#address.name} is over: ${reason}`);
    this.onOver(reason);
  }

  // -- writing ------------------------------------------------------------------------------

  #wake() {
    if (this.#isDue || !this.#isOpen) return;
    this.#isDue = true;
    queueMicrotask(() => void this.#flush());
  }

  /** Write one frame after the other: what gathers meanwhile goes with the next. */
  async #flush() {
    this.#isDue = false;
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      for (let text = this.#take(); text && this.#socket; text = this.#take()) await this.#socket.send(text);
    } finally {
      this.#isWriting = false;
    }
  }

  #take() {
    if (!this.#isOpen) return "";
    if (this.#settled.length) {
      this.#stream.put(message("ack", { ranges: ranges(this.#settled), failed: this.#failed }));
      this.#settled = [];
      this.#failed = 0;
    }
    const isQuiet = !this.#stream.hasUnsent && !this.#stream.owesNews;
    if (isQuiet && performance.now() - this.#spoke < this.welcome.heartbeat * 700) return "";
    this.#spoke = performance.now();
    return this.#stream.take(this.welcome.max_frame);
  }

  // -- reading ------------------------------------------------------------------------------

  /** @param {Socket} socket @param {string} text */
  #received(socket, text) {
    if (socket !== this.#socket) return;
    this.#heard = performance.now();
    try {
      const { first = 0, seen = 0, messages = [] } = JSON.parse(text);
      if (!this.#isOpen) return void messages.forEach((/** @type {any} */ one) => this.#greeted(one));
      for (const one of this.#stream.accept(first, seen, messages)) this.#handle(one);
    } catch (error) {
      return this.#cut(socket, error instanceof Error ? error.message : String(error));
    }
    this.#letIn();
    if (this.#stream.owesNews) this.#wake();
  }

  #letIn() {
    if (this.isFull && !this.isOver) return;
    for (const done of this.#waitingForRoom.splice(0)) done();
  }

  /** The answer to the hello. @param {any} one */
  #greeted(one) {
    if (one.kind === "welcome") this.#begin({ ...TERMS, ...one });
    else if (one.kind === "failure") this.#refuse(one);
  }

  /** @param {import("./protocol.js").Welcome} welcome */
  #begin(welcome) {
    if (welcome.resumed) this.#stream.rewind(welcome.seen);
    else this.#startAnew();
    this.welcome = welcome;
    this.#hello = { ...this.#hello, session: welcome.session, key: welcome.key };
    this.#isOpen = true;
    this.#spoke = performance.now();
    this.#beat = setInterval(() => this.#watch(), welcome.heartbeat * 400);
    this.#opening?.resolve(undefined);
    this.#opening = null;
    this.#wake();
  }

  /** What the old session did not hear is said to the new one; what it heard may be lost. */
  #startAnew() {
    const { first, again } = this.restore();
    const left = this.#stream.drain().filter((one) => !again.has(one.cause ?? 0));
    this.#settled = [];
    this.#failed = 0;
    for (const [ref, { resolve, message: said }] of this.#calls) {
      if (left.includes(said)) continue;
      this.#calls.delete(ref);
      resolve(unknown());
    }
    for (const { resolve } of this.#taken.values()) resolve(-1);
    this.#taken.clear();
    for (const one of first) this.#stream.put(one);
    for (const one of left) {
      one.cause = 0; // it names a delivery of the old session
      if (LASTING.has(one.kind)) this.#stream.put(one);
    }
  }

  /** @param {{code: string, message: string}} failure */
  #refuse(failure) {
    if (failure.code === "NOT_FOUND") this.#hello = { ...this.#hello, session: "", key: "", seen: 0 };
    if (this.#socket) this.#cut(this.#socket, failure.message, new Refused(failure.code, failure.message));
  }

  /** @param {any} one */
  #handle(one) {
    switch (one.kind) {
      case "deliver": return this.onDeliver(one);
      case "taken": return this.#answer(this.#taken, one.about)?.resolve(one.count ?? 0);
      case "result": return this.#answer(this.#calls, one.ref)?.resolve(one.result);
      case "call": return this.onCall(one);
      case "cancel": return this.onCancel(one.ref);
      case "failure": return this.#onFailure(one);
      default: throw new ProtocolError("INVALID_ARGUMENT", `a message of the kind ${one.kind}`);
    }
  }

  /** @template {Promised} P @param {Map<number, P>} promised @param {number} number */
  #answer(promised, number) {
    const found = promised.get(number);
    promised.delete(number);
    return found;
  }

  /** @param {{code: string, message: string, about?: number, fatal?: boolean}} failure */
  #onFailure(failure) {
    const refused = new Refused(failure.code, failure.message);
    if (failure.fatal) {
      if (FATAL.has(failure.code)) this.#end(refused.message);
      else if (this.#socket) this.#cut(this.#socket, refused.message);
      return;
    }
    const asked = this.#answer(this.#taken, failure.about ?? 0);
    if (asked) asked.reject(refused);
    else this.#log.error(`loom: ${this.#address.name} refused: ${failure.message} (${failure.code})`);
  }

  /** Let the server hear of us, and notice when nothing is heard of it. */
  #watch() {
    const silence = (performance.now() - this.#heard) / 1000;
    if (silence > this.welcome.lease && this.#socket) {
      this.#cut(this.#socket, `nothing heard for ${Math.round(silence)} s`);
    } else {
      this.#wake();
    }
  }
}

/**
 * `numbers` as runs: the first and last of each.
 *
 * @param {number[]} numbers
 * @returns {[number, number][]}
 */
export function ranges(numbers) {
  /** @type {[number, number][]} */
  const runs = [];
  for (const number of [...numbers].sort((one, other) => one - other)) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs;
}

/** @returns {import("./protocol.js").ToolResult} */
function unknown() {
  return { id: "", code: "OUTCOME_UNKNOWN", error: { message: "the connection was lost before the outcome was known" } };
}
