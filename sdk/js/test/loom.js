/** A real Loom for the tests, agents in Python beside it, and lines that can be cut. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { Agent } from "@loom/sdk";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const OWN = join(ROOT, ".venv/bin/python");
export const PYTHON = process.env.LOOM_TEST_PYTHON ?? (existsSync(OWN) ? OWN : "python3");
const QUIET = { warn() {}, error() {} };

/** Start a Python script; its first line, and a way to end it. */
export async function python(script, env = {}) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(PYTHON, [path], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const over = new Promise((resolve) => child.once("exit", resolve));
  const line = await Promise.race([
    new Promise((resolve) => createInterface(child.stdout).once("line", resolve)),
    over.then((code) => { throw new Error(`${script} ended with ${code}`); }),
  ]);
  const stop = async () => {
    child.stdin.end();
    assert.equal(await over, 0, script);
  };
  return { line, stop };
}

/** A Loom: `before(() => loom.start())`, `after(() => loom.stop())`. */
export class Loom {
  agents = [];
  stops = [];

  /** @param {{partner?: boolean, journal?: boolean}} [options] whether the agents of partner.py take part */
  async start({ partner = false, journal = false } = {}) {
    const { line, stop } = await python("./python/kernel.py", journal ? { LOOM_TEST_JOURNAL: "1" } : {});
    this.stops.push(stop);
    const { folder, token, url, origin } = JSON.parse(line);
    this.folder = folder;
    this.token = token;
    /** Over TCP, and the web origin whose pages are let in there. */
    this.url = url;
    this.origin = origin;
    this.address = `ws+unix://${folder}/websocket.sock`;
    if (partner) this.stops.push((await python("./python/partner.py", this.env)).stop);
  }

  async stop() {
    await Promise.all(this.agents.map((agent) => agent.stop()));
    for (const end of this.stops.reverse()) await end();
  }

  /** The environment of a process that shall find it. */
  get env() {
    return { LOOM_ADDRESS: `unix://${this.folder}/frames.sock`, LOOM_TOKEN: this.token };
  }

  /** An agent that stays to the end of the test. */
  async join(id, options = {}) {
    const agent = new Agent({ id, address: this.address, token: this.token, log: QUIET, ...options });
    await agent.start();
    this.agents.push(agent);
    return agent;
  }

  /** What was published to `patterns` since. */
  async recorder(...patterns) {
    const events = [];
    const id = `recorder-${this.agents.length}`;
    await this.join(id, { topics: patterns, onEvent: (ctx, topic, event) => void events.push(event) });
    return events;
  }

  /** A proxy whose lines can be cut. */
  async cutter() {
    const cutter = new Cutter(join(this.folder, "websocket.sock"), this.folder);
    await new Promise((resolve) => cutter.server.listen(cutter.path, resolve));
    this.stops.push(() => cutter.close());
    return cutter;
  }
}

class Cutter {
  lines = new Set();

  constructor(target) {
    this.folder = mkdtempSync(join(tmpdir(), "lj"));
    this.path = join(this.folder, "cut");
    this.address = `ws+unix://${this.path}`;
    this.server = createServer((near) => {
      const far = connect(target);
      for (const [one, other] of [[near, far], [far, near]]) {
        this.lines.add(one);
        one.pipe(other).on("error", () => {});
        one.on("error", () => {}).once("close", () => { this.lines.delete(one); other.destroy(); });
      }
    });
  }

  /** End every line, at once and without a word. */
  cut() {
    for (const line of this.lines) line.destroy();
  }

  /** Let the lines stand and nothing pass: half-open connections. New ones are not concerned. */
  freeze() {
    for (const line of this.lines) line.pause();
  }

  close() {
    this.cut();
    this.server.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Wait until `isSo`; a bound keeps a test from hanging. */
export async function until(isSo, what = isSo.toString()) {
  const end = Date.now() + 15_000;
  while (!(await isSo())) {
    if (Date.now() > end) throw new assert.AssertionError({ message: `not true after 15 s: ${what}` });
    await new Promise((next) => setTimeout(next, 5));
  }
}
