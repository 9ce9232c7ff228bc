/** What a browser has instead of what `node.js` beside it has. */

/** Bytes that may wait to be sent before the next frame is made. */
const CROWDED = 1 << 18;

/**
 * A value that follows the flow of control; here only up to the first `await`. A handler's own context
 * knows its event all the same.
 *
 * @template T
 */
export class Flow {
  /** @type {T | undefined} */
  #value;

  getStore() {
    return this.#value;
  }

  /** @template R @param {T} value @param {() => R} work @returns {R} */
  run(value, work) {
    const outer = this.#value;
    this.#value = value;
    try {
      return work();
    } finally {
      this.#value = outer;
    }
  }
}

/** @param {string} _name */
export const variable = (_name) => "";

/** @param {string} text */
export const sizeOf = (text) => new TextEncoder().encode(text).length;

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export const fromBase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

/** @param {Uint8Array} octets */
export const toBase64 = (octets) => btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""));

/** @param {string} _path */
export const readText = (_path) => "";

export const bridgeFolder = () => "";

/**
 * @param {string} url
 * @param {{path: string, limit: number, patience: number}} options
 * @returns {import("./socket.js").Socket}
 */
export function openSocket(url, { patience }) {
  const socket = new WebSocket(url, ["loom.v1"]);
  const timer = setTimeout(() => socket.close(), patience);
  socket.addEventListener("open", () => clearTimeout(timer));
  return {
    onOpen: (done) => socket.addEventListener("open", () => done()),
    onText: (done) => socket.addEventListener("message", (event) => done(String(event.data))),
    onClose: (done) =>
      socket.addEventListener("close", (event) => done(`closed with ${event.code}: ${event.reason}`, 0)),
    async send(text) {
      if (socket.readyState === socket.OPEN) socket.send(text);
      while (socket.bufferedAmount > CROWDED && socket.readyState === socket.OPEN) {
        await new Promise((done) => setTimeout(done, 5));
      }
    },
    close: () => socket.close(1000),
    abort: () => socket.close(),
  };
}

/** @param {() => void} stop */
export function onStopAsked(stop) {
  globalThis.addEventListener?.("pagehide", stop);
  return () => globalThis.removeEventListener?.("pagehide", stop);
}
