import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { capability, Refused } from "@loom/sdk";

import { Loom, until } from "./loom.js";

const loom = new Loom();
before(() => loom.start({ partner: true }));
after(() => loom.stop());

test("nothing is lost or doubled, and order is kept, through cuts", async () => {
  const cutter = await loom.cutter();
  const got = [];
  const receiver = await loom.join("receiver", {
    address: cutter.address,
    token: loom.token,
    topics: ["through"],
    onEvent: (ctx, topic, event) => void got.push(event.data),
  });
  const sender = await loom.join("sender", { address: cutter.address, token: loom.token });
  const count = 3000;
  for (let n = 0; n < count; n += 1) {
    await sender.ctx.emit("through", n);
    if (n % 300 === 150) cutter.cut();
    if (n % 20 === 0) await new Promise((next) => setImmediate(next));
  }
  await until(() => got.length >= count);
  assert.deepEqual(got, Array.from({ length: count }, (_, n) => n));
  assert.ok(sender.reconnects > 0 && receiver.reconnects > 0);
});

test("a half-open line is noticed, and what was published meanwhile arrives", async () => {
  const cutter = await loom.cutter();
  const got = [];
  const agent = await loom.join("patient", {
    address: cutter.address,
    token: loom.token,
    topics: ["news"],
    onEvent: (ctx, topic, event) => void got.push(event.data),
  });
  const { ctx } = await loom.join("reporter");
  cutter.freeze();
  await ctx.emit("news", "while it stands still");
  await until(() => agent.reconnects === 1);
  await until(() => got.length === 1);
});

test("requests and calls that are out survive a cut", async () => {
  const cutter = await loom.cutter();
  const slow = capability("js.slow", {}, () => new Promise((done) => setTimeout(done, 300, "done")));
  await loom.join("slow", { capabilities: [slow], topics: ["slow"], onEvent: (ctx, _, event) =>
    new Promise((done) => setTimeout(done, 300)).then(() => ctx.reply(event, "late")) });
  const { ctx } = await loom.join("asker", { address: cutter.address, token: loom.token });
  await until(async () => (await ctx.request("tool.list", { name: "js.slow" })).data.tools.length === 1);
  const out = [ctx.request("slow"), ctx.tool("js.slow")];
  await new Promise((next) => setTimeout(next, 50));
  cutter.cut();
  const [reply, output] = await Promise.all(out);
  assert.deepEqual([reply.data, output], ["late", "done"]);
});

test("a tool's answer after a cut still reaches its caller", async () => {
  const cutter = await loom.cutter();
  let go;
  const wait = capability("js.cut", {}, () => new Promise((done) => (go = done)));
  const agent = await loom.join("cuttable", { address: cutter.address, token: loom.token, capabilities: [wait] });
  const { ctx } = await loom.join("caller");
  await until(async () => (await ctx.request("tool.list", { name: "js.cut" })).data.tools.length === 1);
  const calling = ctx.tool("js.cut");
  await until(() => go);
  cutter.cut();
  go("still here");
  assert.equal(await calling, "still here");
  assert.equal(agent.reconnects, 1);
});

test("an agent that was ended from outside knows it, and does not come back", async () => {
  const stopped = [];
  const agent = await loom.join("victim", { topics: ["victim"], onStop: () => void stopped.push(1) });
  const { ctx } = await loom.join("killer");
  const reply = await ctx.request("agent.control", { id: "victim", action: "stop" });
  assert.ok(reply.data);
  assert.match(await agent.ended, /was stopped/);
  await agent.stop();
  assert.deepEqual(stopped, [1]);
});

test("a second process of the same agent is refused, and the first goes on", async () => {
  const first = await loom.join("only", { topics: ["only"], onEvent: (ctx, _, event) => ctx.reply(event, 1) });
  await assert.rejects(loom.join("only"), (error) => error instanceof Refused && error.code === "ALREADY_EXISTS");
  const { ctx } = await loom.join("other");
  assert.equal((await ctx.request("only")).data, 1);
  assert.equal(first.reconnects, 0);
});
