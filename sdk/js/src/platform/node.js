/** What Node has and a browser has not. `browser.js` beside it has the same names. */

import { AsyncLocalStorage } from "node:async_hooks";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";

import WebSocket from "ws";

/** Bytes of a path that fit into the address of a Unix socket on every system. */
const LONGEST_NAME = 100;

/** A value that follows the flow of control, also through `await`. */
export { AsyncLocalStorage as Flow };

/** @param {string} name */
export const variable = (name) => process.env[name] ?? "";

/** @param {string} text */
export const sizeOf = (text) => Buffer.byteLength(text);

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export const fromBase64 = (text) => Uint8Array.from(Buffer.from(text, "base64"));

/** @param {Uint8Array} octets */
export const toBase64 = (octets) =>
  Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength).toString("base64");

/**
 * What the file `path` holds, without white space around it; empty if it cannot be read.
 *
 * @param {string} path
 */
export function readText(path) {
  try {
    return readFileSync(path.replace(/^~(?=\/)/, homedir()), "utf8").trim();
  } catch {
    return "";
  }
}

/** Where the bridge of this folder's Loom, else of the user's, has its sockets. */
export function bridgeFolder() {
  const named = variable("LOOM_STATE_DIR").replace(/^~(?=\/|$)/, homedir());
  const state = named || (existsSync("loom.toml") ? ".loom" : join(xdgState(), "loom"));
  return join(resolve(state), "plugins", "bridge");
}

function xdgState() {
  const base = variable("XDG_STATE_HOME");
  return isAbsolute(base) ? base : join(homedir(), ".local/state");
}

/**
 * A WebSocket to `url`, or to whoever listens on the Unix socket `path`.
 *
 * @param {string} url
 * @param {{path: string, limit: number, patience: number}} options bytes and milliseconds
 * @returns {import("./socket.js").Socket}
 */
export function openSocket(url, { path, limit, patience }) {
  const ca = readText(variable("LOOM_CA_FILE"));
  const socket = new WebSocket(url, ["loom.v1"], {
    maxPayload: limit,
    perMessageDeflate: false,
    handshakeTimeout: patience,
    ...(ca ? { ca } : {}),
    // Not as a part of the URL: there a path may hold no colon.
    ...(path ? { createConnection: () => connectTo(path) } : {}),
  });
  return {
    onOpen: (done) => void socket.on("open", done),
    onText: (done) => void socket.on("message", (data) => done(data.toString())),
    onClose: (done) => listen(socket, done),
    send: (text) => new Promise((done) => socket.send(text, () => done())),
    close: () => socket.close(1000),
    abort: () => socket.terminate(),
  };
}

/** @param {WebSocket} socket @param {(reason: string, status: number) => void} done */
function listen(socket, done) {
  let reason = "";
  let status = 0;
  socket.on("unexpected-response", (request, response) => {
    let said = "";
    status = response.statusCode ?? 0;
    response.setEncoding("utf8").on("data", (part) => (said = (said + part).slice(0, 500)));
    response.on("end", () => {
      reason = `it answers with ${status}: ${said.trim() || "no reason was given"}`;
      socket.terminate();
    });
  });
  socket.on("error", (error) => (reason ||= error.message));
  socket.on("close", (code, said) => done(reason || `closed with ${code}: ${said}`, status));
}

/** @param {string} path */
function connectTo(path) {
  if (Buffer.byteLength(path) <= LONGEST_NAME) return connect({ path });
  const folder = openSync(dirname(path), "r");
  const socket = connect({ path: `/proc/self/fd/${folder}/${basename(path)}` });
  return socket.once("connect", () => closeSync(folder)).once("error", () => closeSync(folder));
}

/**
 * Let `stop` be called when the process is asked to end; the answer takes that back.
 *
 * @param {() => void} stop
 */
export function onStopAsked(stop) {
  /** @type {NodeJS.Signals[]} */
  const signals = ["SIGINT", "SIGTERM"];
  for (const signal of signals) process.on(signal, stop);
  return () => {
    for (const signal of signals) process.off(signal, stop);
  };
}
