import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import WebSocket from "ws";

import { Loom } from "./loom.js";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const loom = new Loom();
before(() => loom.start({ partner: true }));
after(() => loom.stop());

/** A page, as far as the SDK goes: the modules that a bundler would take, and a global `WebSocket`. */
const PAGE = `
  import WebSocket from "./node_modules/ws/wrapper.mjs"; // "ws" itself refuses to be in a browser
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) { super(url, protocols, { origin: process.env.PAGE_ORIGIN }); }
  };
  const { Agent } = await import("@loom/sdk");
  const { barrier } = await import("@loom/sdk/collaboration");
  const agent = new Agent({
    id: "page",
    address: process.env.PAGE_ADDRESS,
    token: process.env.PAGE_TOKEN,
    topics: ["page.asked"],
    async onEvent(ctx, topic, event) {
      const reply = await ctx.request("py.echo", event.data);
      await ctx.reply(event, reply.data.said);
    },
  });
  await agent.start();
  await barrier(agent.ctx, "open", ["page", "visitor"]);
  await barrier(agent.ctx, "shut", ["page", "visitor"]);
  await agent.stop();
`;

test("an agent in a page does what others do", async () => {
  const { barrier } = await import("@loom/sdk/collaboration");
  const env = { ...process.env, PAGE_ADDRESS: loom.url, PAGE_TOKEN: loom.token, PAGE_ORIGIN: loom.origin };
  const args = ["--conditions=browser", "--input-type=module", "--eval", PAGE];
  const child = spawn(process.execPath, args, { cwd: HERE, env, stdio: "inherit" });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const { ctx } = await loom.join("visitor");
  await barrier(ctx, "open", ["page", "visitor"], { timeoutMs: 10_000 });
  const reply = await ctx.request("page.asked", "Grüße");
  assert.deepEqual([reply.data, reply.sender, reply.hop], ["Grüße", "page", 1]);
  await barrier(ctx, "shut", ["page", "visitor"]);
  assert.equal(await ended, 0);
});

test("a page of another origin is kept out", async () => {
  const page = new WebSocket(`${loom.url}/bridge`, { origin: "http://evil.example" });
  const status = await new Promise((resolve) => page.on("unexpected-response", (_, response) => resolve(response.statusCode)).on("error", () => {}));
  assert.equal(status, 403);
  page.terminate();
});

test("a page without any SDK joins", async () => {
  const page = new WebSocket(`${loom.url}/bridge`, { origin: loom.origin });
  const heard = [];
  const hear = (kind) => new Promise((resolve) => {
    page.on("message", (text) => {
      heard.push(...(JSON.parse(text).messages ?? []));
      const found = heard.find((message) => message.kind === kind);
      if (found) resolve(found);
    });
  });
  const say = (...messages) => page.send(JSON.stringify({ messages }));
  await new Promise((resolve) => page.on("open", resolve));
  say({ kind: "hello", token: loom.token, agent: "lamp" });
  await hear("welcome");
  say({ kind: "subscribe", sub: 0, patterns: ["lamp.set"] }, { kind: "publish", topic: "lamp.here", data: null, confirm: true });
  await hear("taken");
  const { ctx } = await loom.join("switch");
  const asking = ctx.request("lamp.set", { on: true });
  const { event, number } = await hear("deliver");
  assert.deepEqual([event.data, event.sender], [{ on: true }, "switch"]);
  say({ kind: "publish", topic: event.reply_to, data: "done", cause: number }, { kind: "ack", ranges: [[number, number]] });
  assert.equal((await asking).data, "done");
  say({ kind: "bye" });
  await new Promise((resolve) => page.on("close", resolve));
});
