import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";

import { findToken, parseAddress } from "../src/address.js";

const here = process.cwd();
const outside = { ...process.env };
let home;

before(() => {
  home = mkdtempSync(join(tmpdir(), "lj"));
  process.chdir(home);
});
after(() => {
  process.chdir(here);
  process.env = outside;
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  for (const name of Object.keys(process.env)) if (/^(LOOM|XDG)_/.test(name)) delete process.env[name];
  process.env.HOME = home;
});

const pathOf = (text) => parseAddress(text).path;

test("the user's Loom, this folder's, and the one that is named", () => {
  assert.equal(pathOf(), join(home, ".local/state/loom/plugins/bridge/websocket.sock"));
  process.env.XDG_STATE_HOME = "/xdg";
  assert.equal(pathOf(), "/xdg/loom/plugins/bridge/websocket.sock");
  writeFileSync("loom.toml", "");
  assert.equal(pathOf(), join(process.cwd(), ".loom/plugins/bridge/websocket.sock"));
  rmSync("loom.toml");
  process.env.LOOM_STATE_DIR = "/state";
  assert.equal(pathOf(), "/state/plugins/bridge/websocket.sock");
  process.env.LOOM_ADDRESS = "ws+unix:///a/b:c/w.sock";
  assert.equal(pathOf(), "/a/b:c/w.sock");
});

test("what others call the same Loom means the WebSocket beside it", () => {
  assert.equal(pathOf("unix:///s/frames.sock"), "/s/websocket.sock");
  assert.equal(pathOf("grpc+unix:///s/grpc.sock"), "/s/websocket.sock");
});

test("TCP", () => {
  assert.equal(parseAddress("ws://127.0.0.1:7451").url, "ws://127.0.0.1:7451/bridge");
  assert.equal(parseAddress("ws://[::1]:7451").url, "ws://[::1]:7451/bridge");
  assert.equal(parseAddress("wss://loom.example:7451/").url, "wss://loom.example:7451/bridge");
  assert.throws(() => parseAddress("ws://loom.example:7451"), /readable: use wss/);
  for (const text of ["localhost:1", "http://a:1", "grpc://a:1", "ws://"]) {
    assert.throws(() => parseAddress(text), /is no address/);
  }
});

test("the token: given, in the environment, in a file, the local one", () => {
  const local = join(home, "bridge");
  mkdirSync(local);
  writeFileSync(join(local, "local.token"), "local\n");
  writeFileSync(join(home, "file"), "from file\n");
  const address = parseAddress(`ws+unix://${local}/websocket.sock`);
  assert.equal(findToken(address), "local");
  process.env.LOOM_TOKEN_FILE = "~/file";
  assert.equal(findToken(address), "from file");
  process.env.LOOM_TOKEN = "from environment";
  assert.equal(findToken(address), "from environment");
  assert.equal(findToken(address, "given"), "given");
  delete process.env.LOOM_TOKEN;
  delete process.env.LOOM_TOKEN_FILE;
  process.env.LOOM_STATE_DIR = join(home, "state");
  mkdirSync(join(home, "state/plugins/bridge"), { recursive: true });
  writeFileSync(join(home, "state/plugins/bridge/local.token"), "of this machine");
  assert.equal(findToken(parseAddress("ws://localhost:1")), "of this machine");
  assert.equal(findToken(parseAddress("wss://loom.example:1")), "");
});
