/**
 * Where a Loom can be reached, and with which token.
 *
 * (empty)              the Loom of the current folder, or the user's: its Unix socket
 * ws+unix:///path      WebSocket on a Unix socket; unix:///path means the one beside it
 * ws://host:port       WebSocket over TCP, wss:// with TLS
 */

import { bridgeFolder, readText, variable } from "#platform";

import { LoomError, show } from "./errors.js";

const SOCKET = "websocket.sock";
const LOCAL_TOKEN = "local.token";
const PATH = "/bridge";

/** @typedef {{url: string, path: string, name: string}} Address `path` of a Unix socket, or empty */

/**
 * What `text` names; nothing named = `LOOM_ADDRESS`, else this folder's Loom, else the user's.
 *
 * @param {string} [text]
 * @returns {Address}
 */
export function parseAddress(text = "") {
  const named = text || variable("LOOM_ADDRESS") || defaultAddress();
  const [, scheme, rest] = /^(ws|wss|ws\+unix|unix|grpc\+unix):\/\/(.+)$/.exec(named) ?? [];
  if (!scheme || !rest) {
    throw new LoomError(`${show(named)} is no address; write ws://host:port, wss://host:port or ws+unix:///path`);
  }
  if (scheme.endsWith("unix")) {
    const path = scheme === "ws+unix" ? rest : rest.replace(/[^/]*$/, SOCKET);
    return { url: `ws://localhost${PATH}`, path, name: `ws+unix://${path}` };
  }
  const [place = ""] = rest.split("/");
  if (scheme === "ws" && !isLoopback(place)) {
    throw new LoomError(`${named} is another machine, and the token would be readable: use wss://`);
  }
  return { url: `${scheme}://${place}${PATH}`, path: "", name: `${scheme}://${place}` };
}

/**
 * `token`, else `LOOM_TOKEN`, else what the file `LOOM_TOKEN_FILE` holds, else what a Loom on this machine
 * leaves for its owner; empty if there is none.
 *
 * @param {Address} address
 * @param {string} [token]
 */
export function findToken(address, token = "") {
  const given = token || variable("LOOM_TOKEN");
  if (given) return given;
  const file = variable("LOOM_TOKEN_FILE");
  if (file) return readText(file);
  if (address.path) return readText(address.path.replace(/[^/]*$/, LOCAL_TOKEN));
  return isLoopback(new URL(address.url).host) ? readText(`${bridgeFolder()}/${LOCAL_TOKEN}`) : "";
}

function defaultAddress() {
  const folder = bridgeFolder();
  if (!folder) throw new LoomError("a page has to say where its Loom is: address: 'ws://127.0.0.1:port'");
  return `ws+unix://${folder}/${SOCKET}`;
}

/** @param {string} place host, or host:port */
function isLoopback(place) {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(place);
}
