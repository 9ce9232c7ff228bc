import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import {
  Agent, BusClosed, Disconnected, InvalidTopic, LoomError, NoResponders, PayloadNotSerializable, PayloadTooLarge,
  Refused, RequestTimeout,
} from "@loom/sdk";

import { Loom, until } from "./loom.js";

const loom = new Loom();
before(() => loom.start({ partner: true }));
after(() => loom.stop());

test("a JS agent exchanges events with a Python agent", async () => {
  const { ctx } = await loom.join("greeter");
  const reply = await ctx.request("py.echo", { text: "Grüße 🧵" });
  assert.deepEqual(reply.data, { said: { text: "Grüße 🧵" }, by: "py-echo" });
  assert.equal(reply.sender, "py-echo");
});

test("all reserved names are visible on a delivered event", async () => {
  const events = await loom.recorder("named");
  const { ctx } = await loom.join("namer");
  await ctx.emit("named", [1], { type: "kind", subject: "s", labels: ["b", "a"], ttl: 9, priority: 60 });
  await until(() => events.length === 1);
  const [event] = events;
  for (const name of ["thread_id", "correlation_id", "sender", "reply_to", "ttl", "hop", "ts"]) {
    assert.notEqual(event[name], undefined, name);
  }
  assert.deepEqual(
    [event.sender, event.type, event.subject, event.labels, event.ttl, event.priority, event.hop],
    ["namer", "kind", "s", ["a", "b"], 9, 60, 0],
  );
  assert.deepEqual([event.thread_id, event.reply_to], [event.id, `thread.${event.id}.reply`]);
});

for (const data of [null, 0, "text", [1, 2.5, { a: null }], { é: "ü" }, Uint8Array.of(0, 255)]) {
  test(`data arrives as it was handed in: ${JSON.stringify(data)}`, async () => {
    const events = await loom.recorder("given");
    await loom.agents.at(-1).ctx.emit("given", data);
    await until(() => events.length === 1);
    assert.deepEqual(events[0].data, data);
  });
}

test("what a handler publishes is caused by its event, through await too", async () => {
  const events = await loom.recorder("second", "third");
  const agent = await loom.join("causer", {
    topics: ["first"],
    async onEvent(ctx) {
      await ctx.emit("second");
      await new Promise((next) => setImmediate(next));
      await agent.ctx.emit("third"); // not its own context: the flow of control knows
    },
  });
  await loom.agents[0].ctx.emit("first", null, { labels: ["secret"] });
  await until(() => events.length === 2);
  const [second, third] = events;
  assert.equal(second.causation_id, third.causation_id);
  assert.equal(second.traceId, third.traceId);
  assert.deepEqual([second.hop, second.labels, third.labels], [1, ["secret"], ["secret"]]);
});

test("labels of what was learned are passed on", async () => {
  await loom.join("source", { topics: ["ask"], onEvent: (ctx, topic, event) => ctx.reply(event, 1, { labels: ["mine"] }) });
  const events = await loom.recorder("told");
  await loom.join("learner", {
    topics: ["learn"],
    async onEvent(ctx) {
      await ctx.request("ask");
      await ctx.emit("told");
    },
  });
  await loom.agents[0].ctx.emit("learn");
  await until(() => events.length === 1);
  assert.deepEqual(events[0].labels, ["mine"]);
});

test("an event that bounces between Python and JS dies after 16 hops", async () => {
  const hops = [];
  const errors = await loom.recorder("$loom.error");
  await loom.join("pinger", {
    topics: ["to.js"],
    async onEvent(ctx, topic, event) {
      hops.push(event.hop);
      await ctx.emit("to.py", event.data);
    },
  });
  await loom.agents[0].ctx.emit("to.py", "ball");
  await until(() => errors.some((event) => event.data.error === "HopLimitExceeded"));
  assert.deepEqual(hops, [1, 3, 5, 7, 9, 11, 13, 15]);
});

test("a request inside a handler is answered", async () => {
  await loom.join("middle", {
    topics: ["middle"],
    async onEvent(ctx, topic, event) {
      const found = await ctx.request("py.echo", event.data);
      await ctx.reply(event, found.data.said + 1);
    },
  });
  assert.equal((await loom.agents[0].ctx.request("middle", 1)).data, 2);
});

test("a request that nobody answers times out, one that nobody hears fails at once", async () => {
  const told = await loom.recorder("$loom.request.timed_out", "deaf");
  const { ctx } = loom.agents[0];
  await assert.rejects(ctx.request("deaf", null, { timeoutMs: 50 }), RequestTimeout);
  await until(() => told.some((event) => event.data?.topic === "deaf"));
  await assert.rejects(ctx.request("nobody.there", null, { timeoutMs: 60_000 }), NoResponders);
  await assert.rejects(ctx.request("nobody.there", null, { timeoutMs: 60_000, firstK: 2 }), NoResponders);
});

test("wrong topics, fields and data are refused where they are written", async () => {
  const { ctx } = loom.agents[0];
  await assert.rejects(ctx.emit("a..b"), InvalidTopic);
  await assert.rejects(ctx.emit("a", NaN), PayloadNotSerializable);
  await assert.rejects(ctx.emit("a", { deep: [() => {}] }), PayloadNotSerializable);
  await assert.rejects(ctx.emit("a", 1n), PayloadNotSerializable);
  await assert.rejects(ctx.emit("a", "x".repeat(1 << 20)), PayloadTooLarge);
  await assert.rejects(ctx.emit("a", 1, { priority: 101 }), LoomError);
  await assert.rejects(ctx.emit("a", 1, { sender: "somebody" }), /not a field an author can set/);
});

test("a subscription is an iterator, and its end is told to the server", async () => {
  const { ctx } = await loom.join("iterator");
  const numbers = ctx.subscribe("number.*", { qos: "background" });
  for (let n = 0; n < 5; n += 1) await ctx.emit("number.n", n);
  const got = [];
  for await (const event of numbers) {
    got.push(event.data);
    if (got.length === 5) break;
  }
  assert.deepEqual(got, [0, 1, 2, 3, 4]);
  await assert.rejects(ctx.request("number.n", null, { timeoutMs: 60_000 }), NoResponders);
});

test("many more events than the window arrive, each once and in order", async () => {
  const got = [];
  await loom.join("counter", { topics: ["count"], onEvent: (ctx, topic, event) => void got.push(event.data) });
  const { ctx } = await loom.join("feeder");
  for (let n = 0; n < 5000; n += 1) await ctx.emit("count", n);
  await until(() => got.length >= 5000);
  assert.deepEqual(got, Array.from({ length: 5000 }, (_, n) => n));
});

test("a handler that fails is told, and the next event is handled", async () => {
  const told = await loom.recorder("agent.clumsy.failed", "$loom.error");
  const got = [];
  await loom.join("clumsy", {
    topics: ["clumsy"],
    onEvent(ctx, topic, event) {
      got.push(event.data);
      if (event.data === 1) throw new RangeError("dropped it");
    },
  });
  await loom.agents[0].ctx.emit("clumsy", 1);
  await loom.agents[0].ctx.emit("clumsy", 2);
  await until(() => got.length === 2 && told.length === 2);
  const error = told.find((event) => event.topic === "$loom.error");
  assert.deepEqual([error.data.error, error.data.message], ["RangeError", "dropped it"]);
});

for (const [concurrency, expected] of [
  ["queue", ["+0", "-0", "+1", "-1", "+2", "-2"]],
  ["replace", ["+0", "!0", "+1", "!1", "+2", "-2"]],
  ["parallel:3", ["+0", "+1", "+2", "-0", "-1", "-2"]],
]) {
  test(`events that overlap: ${concurrency}`, async () => {
    const steps = [];
    const go = Promise.withResolvers?.() ?? deferred();
    await loom.join(`busy-${concurrency.replace(":", "-")}`, {
      topics: [`busy.${concurrency}`],
      concurrency,
      async onEvent(ctx, topic, event) {
        steps.push(`+${event.data}`);
        await Promise.race([go.promise, new Promise((end) => ctx.signal.addEventListener("abort", end))]);
        steps.push(`${ctx.signal.aborted ? "!" : "-"}${event.data}`);
      },
    });
    for (let n = 0; n < 3; n += 1) await loom.agents[0].ctx.emit(`busy.${concurrency}`, n);
    await until(() => steps.includes("+2") || (concurrency === "queue" && steps.length === 1));
    go.resolve();
    await until(() => steps.length === 6);
    assert.deepEqual(steps, expected);
  });
}

test("an agent that rejects says so", async () => {
  const told = await loom.recorder("agent.picky.rejected");
  const go = deferred();
  await loom.join("picky", { topics: ["picky"], concurrency: "reject", onEvent: () => go.promise });
  for (let n = 0; n < 3; n += 1) await loom.agents[0].ctx.emit("picky", n);
  await until(() => told.length === 2);
  go.resolve();
  assert.equal(told[0].data.reason, "busy");
});

test("the directory lists it until it leaves", async () => {
  const agent = await loom.join("listed", { topics: ["orders.>"], metadata: { team: "red" } });
  const { ctx } = loom.agents[0];
  const find = async () => (await ctx.request("agent.list", { id: "listed" })).data.agents;
  const [record] = await find();
  assert.deepEqual([record.kind, record.status, record.epoch], ["remote", "active", 1]);
  assert.deepEqual([record.topics, record.metadata], [["agent.listed.replies", "orders.>"], { team: "red" }]);
  await agent.stop();
  await until(async () => (await find()).length === 0);
  await assert.rejects(ctx.request("orders.new", null, { timeoutMs: 60_000 }), NoResponders);
});

test("a stopped agent finishes what it handles", async () => {
  const steps = [];
  const events = await loom.recorder("tidy.done");
  const agent = await loom.join("tidy", {
    topics: ["tidy"],
    onStart: () => void steps.push("start"),
    onStop: () => void steps.push("stop"),
    async onEvent(ctx) {
      steps.push("begin");
      await ctx.request("py.echo");
      await ctx.emit("tidy.done");
      steps.push("end");
    },
  });
  await loom.agents[0].ctx.emit("tidy");
  await until(() => steps.includes("begin"));
  const { ctx } = agent;
  await agent.stop();
  assert.deepEqual(steps, ["start", "begin", "end", "stop"]);
  await until(() => events.length === 1);
  await assert.rejects(ctx.emit("a"), BusClosed);
  assert.throws(() => agent.ctx, LoomError);
});

test("who is not let in is told why", async () => {
  const refused = async (options, code, error = Refused) => {
    const agent = new Agent({ id: "stranger", address: loom.address, token: loom.token, ...options });
    await assert.rejects(agent.start(), (thrown) => thrown instanceof error && thrown.code === code);
  };
  await refused({ token: "loom_wrong" }, "UNAUTHENTICATED");
  await refused({ id: loom.agents[0].id }, "ALREADY_EXISTS");
  await refused({ address: `ws+unix://${loom.folder}/nobody.sock` }, "UNAVAILABLE", Disconnected);
  await refused({ address: "ws://example.org:1" }, "LoomError", LoomError);
});

test("what is wrong with an agent is said at once", () => {
  assert.throws(() => new Agent({ id: "a", topics: "a.b" }), TypeError);
  assert.throws(() => new Agent({ id: "a", concurrency: "parallel:0" }), /parallel:<n>/);
});

function deferred() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
