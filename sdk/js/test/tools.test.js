import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Agent, capability, ToolError } from "@loom/sdk";

import { Loom, until } from "./loom.js";

const loom = new Loom();
before(() => loom.start({ partner: true }));
after(() => loom.stop());

const NUMBERS = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
  required: ["a", "b"],
  additionalProperties: false,
};
const multiply = capability(
  "js.multiply",
  { version: "1.2", description: "Multiplies.", parameters: NUMBERS },
  ({ a, b }) => a * b,
);

test("a Python agent calls a tool of a JS agent, and gets its errors", async () => {
  const breaks = capability("js.breaks", {}, () => { throw new RangeError("out of order"); });
  const denies = capability("js.denies", {}, () => {
    throw new ToolError("js.denies", "BUDGET_EXCEEDED", "too dear", { usd: 3 });
  });
  const nonsense = capability("js.nonsense", {}, () => NaN);
  const agent = await loom.join("toolmaker", { capabilities: [multiply, breaks, denies, nonsense] });
  const { ctx } = agent;
  const call = async (name, args = {}) => (await ctx.request("py.call", { name, arguments: args })).data;
  await until(async () => (await call("js.multiply", { a: 6, b: 7 })) === 42);
  assert.equal((await call("js.multiply", { a: "6" })).code, "INVALID_PARAMS");
  assert.deepEqual(await call("js.breaks"), { code: "ACTION_ERROR", message: "RangeError: out of order" });
  assert.deepEqual(await call("js.denies"), { code: "BUDGET_EXCEEDED", message: "too dear" });
  assert.equal((await call("js.nonsense")).code, "ACTION_ERROR");
  const { tools } = (await ctx.request("tool.list", { name: "js.multiply" })).data;
  assert.deepEqual([tools[0].version, tools[0].owner, tools[0].description], ["1.2", "toolmaker", "Multiplies."]);
  await agent.stop();
  const asker = await loom.join("asker");
  const late = await asker.ctx.request("py.call", { name: "js.multiply", arguments: {} });
  assert.equal(late.data.code, "CAPABILITY_ERROR");
});

test("a JS agent calls a tool of a Python agent", async () => {
  const { ctx } = await loom.join("user");
  await until(async () => (await ctx.request("tool.list", { name: "python.add" })).data.tools.length === 1);
  assert.equal(await ctx.tool("python.add", { a: 1, b: 2 }), 3);
  assert.equal(await ctx.tool("python.add", { a: 1, b: 2 }, { version: "2", callId: "once" }), 3);
  const failing = (args, code) =>
    assert.rejects(args(), (error) => error instanceof ToolError && error.code === code);
  await failing(() => ctx.tool("python.add", { a: 1 }), "INVALID_PARAMS");
  await failing(() => ctx.tool("python.ad"), "CAPABILITY_ERROR");
});

test("what a capability learned from a reply labels what it says, and its answer", async () => {
  const summarise = capability("js.summarise", {}, async (args, ctx) => {
    await ctx.request("py.page", {});
    await ctx.emit("js.summarised", {});
    return "a summary in good faith";
  });
  const { ctx } = await loom.join("reader", { capabilities: [summarise] });
  await until(async () => (await ctx.request("tool.list", { name: "js.summarise" })).data.tools.length === 1);
  const told = await ctx.bus.subscribe(["js.summarised"], {});
  const answer = await ctx.request("py.call", { name: "js.summarise", arguments: {} });
  assert.equal(answer.data, "a summary in good faith");
  assert.deepEqual(answer.labels, ["untrusted"]);
  assert.deepEqual((await told.next()).labels, ["untrusted"]);
  told.close();
});

test("a call that takes too long is cancelled in the agent's process", async () => {
  let signal;
  const wait = capability("js.wait", {}, (args, ctx) => {
    signal = ctx.signal;
    return new Promise((resolve) => signal.addEventListener("abort", resolve));
  });
  const { ctx } = await loom.join("sluggish", { capabilities: [wait] });
  await until(async () => (await ctx.request("tool.list", { name: "js.wait" })).data.tools.length === 1);
  await assert.rejects(ctx.tool("js.wait", {}, { timeoutMs: 50 }), { code: "ACTION_TIMEOUT" });
  await until(() => signal.aborted);
});

test("who does not want the outcome any more waits no longer", async () => {
  const begun = [];
  const wait = capability("js.stay", { timeout: 1 }, (args, ctx) => {
    begun.push(1);
    return new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
  });
  const { ctx } = await loom.join("stayer", { capabilities: [wait] });
  await until(async () => (await ctx.request("tool.list", { name: "js.stay" })).data.tools.length === 1);
  const impatient = new AbortController();
  const calling = ctx.tool("js.stay", {}, { signal: impatient.signal });
  await until(() => begun.length);
  impatient.abort(new Error("never mind"));
  await assert.rejects(calling, /never mind/);
});

test("two capabilities of one name and version are refused", () => {
  assert.throws(() => new Agent({ id: "a", capabilities: [multiply, multiply] }), /js\.multiply 1\.2/);
});
