/** What an agent knows, between its handlers and the runtime that keeps it. */

import { fromBase64, toBase64 } from "#platform";

/**
 * The state of one agent: taken from the runtime with each new session, and said to it whenever the
 * handling of an event changed it. Where no journal runs it is ours alone.
 */
export class Keeping {
  #session;
  #state;
  #known = "{}";
  #of = "";

  /** @param {import("./session.js").Session} session @param {Record<string, any>} state changed in place */
  constructor(session, state) {
    this.#session = session;
    this.#state = state;
  }

  /** Take what the runtime keeps, if the session is a new one: it may know less than we do. */
  renew() {
    const { keeps, session, state = "" } = this.#session.welcome;
    if (!keeps || session === this.#of) return;
    this.#of = session;
    this.#known = state ? new TextDecoder().decode(fromBase64(state)) : "{}";
    this.undo();
  }

  /** What is to be said of a change, as base64; empty = nothing has changed. */
  change() {
    if (!this.#session.welcome.keeps) return "";
    const now = JSON.stringify(this.#state);
    if (now === this.#known) return "";
    this.#known = now;
    return toBase64(new TextEncoder().encode(now));
  }

  /** Know again what was known before a handler failed: its event comes again. */
  undo() {
    if (!this.#session.welcome.keeps) return;
    for (const name of Object.keys(this.#state)) delete this.#state[name];
    Object.assign(this.#state, JSON.parse(this.#known));
  }
}
