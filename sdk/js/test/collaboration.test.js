import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { BarrierTimeout, InvalidEnvelope, LoomError } from "@loom/sdk";
import { barrier, bid, contractNet, fanout } from "@loom/sdk/collaboration";

import { Loom, until } from "./loom.js";

const loom = new Loom();
before(() => loom.start({ partner: true }));
after(() => loom.stop());

/** An agent that answers every event on `topic`. */
function answering(id, topic, answer = (data) => data) {
  return loom.join(id, { topics: [topic], onEvent: async (ctx, _, event) => ctx.reply(event, await answer(event.data)) });
}

// -- request --------------------------------------------------------------------------------

test("a request with firstK takes replies of both languages", async () => {
  await answering("also", "py.echo", () => "js");
  const { ctx } = await loom.join("first");
  const told = await loom.recorder("thread.*.reply");
  const replies = await ctx.request("py.echo", 1, { firstK: 2 });
  assert.deepEqual(replies.map((reply) => reply.sender).sort(), ["also", "py-echo"]);
  const fewer = await ctx.request("py.echo", 1, { firstK: 3, timeoutMs: 300 });
  assert.equal(fewer.length, 2);
  await until(() => told.length === 1);
  assert.deepEqual([told[0].type, told[0].data], ["collab.timeout", { topic: "py.echo", wanted: 3, received: 2, timeout: 0.3 }]);
  await loom.agents.find((agent) => agent.id === "also").stop();
});

test("a request in a thread has the type of its topic", async () => {
  await loom.join("typed", { topics: ["what.type"], onEvent: (ctx, _, event) => ctx.reply(event, event.type) });
  const { ctx } = await loom.join("threaded");
  const reply = await ctx.request(ctx.thread("t-1"), "what.type");
  assert.deepEqual([reply.data, reply.thread_id], ["type.request", "t-1"]);
});

// -- threads --------------------------------------------------------------------------------

test("a thread is joined by Python, and by JS", async () => {
  const heard = [];
  const agent = await loom.join("leader", {
    topics: ["minutes"],
    onEvent: (ctx, topic, event) => void heard.push([topic, event.data]),
  });
  const { ctx } = agent;
  const thread = ctx.thread("meeting");
  await ctx.request("py.join", { thread: thread.id });
  ctx.joinThread(thread);
  await ctx.emit(thread.broadcastTopic, "hello", { thread_id: thread.id, reply_to: "minutes" });
  await until(() => heard.length === 2);
  assert.deepEqual(heard.sort(), [["minutes", { heard: "hello" }], ["thread.meeting.broadcast", "hello"]]);
  ctx.leaveThread(thread);
  await ctx.emit(thread.broadcastTopic, "again", { thread_id: thread.id, reply_to: "minutes" });
  await until(() => heard.length === 3);
  assert.deepEqual(heard[2], ["minutes", { heard: "again" }]);
});

// -- fanout ---------------------------------------------------------------------------------

test("fanout asks agents of both languages, and tells how it ended", async () => {
  await answering("js-echo", "js.echo");
  const { ctx } = await loom.join("asker");
  const told = await loom.recorder("thread.*.reply");
  const found = await fanout(ctx, ["py.echo", "js.echo", "nobody.there"], 7);
  assert.deepEqual(found.data, { "py.echo": { said: 7, by: "py-echo" }, "js.echo": 7 });
  assert.deepEqual([found.missing, found.isComplete], [["nobody.there"], false]);
  assert.equal(found.failures["nobody.there"].code, "NoResponders");
  await until(() => told.length === 1);
  const { elapsed, ...summary } = told[0].data;
  assert.deepEqual(summary, {
    strategy: "all", wanted: 3, answered: found.replies.map((reply) => reply.target), missing: ["nobody.there"],
    failures: { "nobody.there": found.failures["nobody.there"].message }, is_complete: false,
  });
  assert.ok(elapsed < 5);
  assert.deepEqual([told[0].type, told[0].tags, told[0].priority], ["collab.summary", ["collab"], 40]);
});

test("Python's fanout asks a JS agent", async () => {
  await answering("js-echo-2", "js.echo2");
  const { ctx } = await loom.join("orderer");
  const reply = await ctx.request("py.fanout", { targets: ["js.echo2", "py.echo"], data: 1 });
  assert.deepEqual(reply.data, { data: { "js.echo2": 1, "py.echo": { said: 1, by: "py-echo" } }, missing: [] });
});

test("a fanout goes on when enough have answered", async () => {
  await loom.join("silent", { topics: ["silent.*"], onEvent: () => {} });
  await answering("quick", "quick.*");
  const { ctx } = await loom.join("chooser");
  const targets = ["quick.1", "silent.1", "quick.2"];
  const answers = async (options) => Object.keys((await fanout(ctx, targets, null, options)).data).length;
  assert.equal(await answers({ strategy: "majority", timeoutMs: 60_000 }), 2);
  assert.ok((await answers({ strategy: "any", timeoutMs: 60_000 })) >= 1);
  assert.equal(await answers({ firstK: 2, timeoutMs: 60_000 }), 2);
  assert.equal(await answers({ strategy: "timeout", timeoutMs: 200 }), 2);
  const late = await fanout(ctx, targets, null, { timeoutMs: 200 });
  assert.deepEqual([late.isComplete, late.missing], [false, ["silent.1"]]);
  await assert.rejects(fanout(ctx, targets, null, { firstK: 4 }), RangeError);
  await assert.rejects(fanout(ctx, targets, null, { strategy: "most" }), RangeError);
  await assert.rejects(fanout(ctx, "quick.1"), TypeError);
  await assert.rejects(fanout(ctx, targets, NaN), InvalidEnvelope);
});

test("a cancelled fanout ends, and is told all the same", async () => {
  const { ctx } = await loom.join("canceller");
  const told = await loom.recorder("thread.cut-off.reply");
  const cancel = new AbortController();
  const asking = fanout(ctx, ["silent.1"], null, { timeoutMs: 60_000, signal: cancel.signal, thread: "cut-off" });
  cancel.abort();
  await assert.rejects(asking, { name: "AbortError" });
  await until(() => told.length === 1);
  assert.equal(told[0].data.is_complete, false);
});

// -- barrier --------------------------------------------------------------------------------

test("members in both languages meet, round after round", async () => {
  const members = ["py-member", "js-1", "js-2"];
  const [one, two] = [await loom.join("js-1"), await loom.join("js-2")];
  const order = { name: "both", members, rounds: 20, timeout_ms: 5000 };
  const meeting = one.ctx.request("py.meet", order, { timeoutMs: 20_000 });
  const rounds = async ({ ctx }) => {
    for (let n = 0; n < order.rounds; n += 1) await barrier(ctx, "both", members, { timeoutMs: 5000 });
  };
  await Promise.all([rounds(one), rounds(two)]);
  assert.equal((await meeting).data, "met");
});

test("who did not come is named in both languages", async () => {
  const { ctx } = await loom.join("punctual");
  const members = ["py-member", "punctual", "absent"];
  const order = { name: "late", members, rounds: 1, timeout_ms: 300 };
  const meeting = ctx.request("py.meet", order);
  await assert.rejects(barrier(ctx, "late", members, { timeoutMs: 300 }), (error) =>
    error instanceof BarrierTimeout && error.missing.includes("absent"));
  assert.deepEqual((await meeting).data.missing.includes("absent"), true);
  await assert.rejects(barrier(ctx, "late", ["absent"]), RangeError);
  await assert.rejects(barrier(ctx, "a.b", ["punctual"]), RangeError);
});

test("one who left is named, and may come again", async () => {
  const [one, two] = [await loom.join("steady"), await loom.join("fickle")];
  const members = ["steady", "fickle", "third"];
  const leaving = barrier(two.ctx, "door", members, { timeoutMs: 100 });
  const waiting = barrier(one.ctx, "door", members, { timeoutMs: 5000 });
  await assert.rejects(leaving, BarrierTimeout);
  const third = await loom.join("third");
  await Promise.all([waiting, barrier(two.ctx, "door", members), barrier(third.ctx, "door", members)]);
});

// -- contract net ---------------------------------------------------------------------------

/** A JS agent that bids for the work on `topic`. */
function bidding(id, topic, score, work = (task) => ({ by: id, did: task.what })) {
  return loom.join(id, {
    topics: [topic],
    concurrency: "parallel:8",
    async onEvent(ctx, _, event) {
      const award = await bid(ctx, event, { score, promise: "now" });
      if (award) await award.perform(work);
    },
  });
}

test("a task offered in JS is done by the best bidder, in Python or in JS", async () => {
  await bidding("js-bidder", "py.work", 5);
  const { ctx } = await loom.join("boss");
  const told = await loom.recorder("thread.*.reply", "python.lost");
  const net = (task) => contractNet(ctx, "py.work", task, { windowMs: 400, timeoutMs: 3000, reserves: 0 });
  const mine = await net({ what: "dig", python: 1 });
  assert.deepEqual([mine.winner, mine.result, mine.bids], ["js-bidder", { by: "js-bidder", did: "dig" }, 2]);
  await until(() => told.some((event) => event.topic === "python.lost" && event.data === mine.call));
  await until(() => told.some((event) => event.type === "collab.settled"));
  const settled = told.find((event) => event.type === "collab.settled").data;
  assert.deepEqual([settled.call, settled.contracts[0].promise, settled.awards], [mine.call, "now", 1]);
  const theirs = await net({ what: "dig", python: 9 });
  assert.deepEqual([theirs.winner, theirs.isComplete], ["py-bidder", true]);
});

test("the next best is asked when a Python winner fails", async () => {
  const { ctx } = await loom.join("boss-2");
  const task = { what: "dig", python: 9, breaks: true };
  const settled = await contractNet(ctx, "py.work", task, { windowMs: 400, timeoutMs: 3000 });
  assert.deepEqual([settled.winner, settled.contracts[0].winner], ["js-bidder", "py-bidder"]);
  assert.match(settled.contracts[0].failure, /out of order/);
});

test("a task offered in Python is done in JS, and a failure arrives there", async () => {
  await bidding("js-worker", "js.work", 1, (task) => {
    if (task.breaks) throw new RangeError("too hard");
    return task.what;
  });
  const { ctx } = await loom.join("customer");
  const done = await ctx.request("py.delegate", { what: "paint" }, { timeoutMs: 10_000 });
  assert.deepEqual(done.data, { winner: "js-worker", result: "paint", failure: "", bids: 1 });
  const failed = await ctx.request("py.delegate", { breaks: true }, { timeoutMs: 10_000 });
  assert.deepEqual([failed.data.winner, failed.data.failure], ["", "RangeError: too hard"]);
});

test("a call that nobody hears ends at once, and late bidders learn it", async () => {
  const { ctx } = await loom.join("lonely");
  const began = Date.now();
  const settled = await contractNet(ctx, "nobody.works", 1, { windowMs: 30_000 });
  assert.deepEqual([settled.winner, settled.failure, settled.contracts], ["", "nobody made a valid bid", []]);
  assert.ok(Date.now() - began < 5000);
  await assert.rejects(contractNet(ctx, "a", 1, { awards: 0 }), RangeError);
  await assert.rejects(contractNet(ctx, "a", 1, { windowMs: 0 }), RangeError);
});

test("a winner that is silent is given up after the caller's patience", async () => {
  let end;
  await bidding("silent-worker", "slow.work", 9, () => new Promise((resolve) => (end = resolve)));
  await bidding("second-worker", "slow.work", 1);
  const { ctx } = await loom.join("impatient");
  const settled = await contractNet(ctx, "slow.work", { what: "x" }, { windowMs: 200, timeoutMs: 5000, patienceMs: 200 });
  assert.equal(settled.winner, "second-worker");
  assert.match(settled.contracts[0].failure, /^late/);
  end("nobody takes this");
});

test("a bid that is not held is withdrawn, and an award is told once", async () => {
  const awards = [];
  await loom.join("hasty", {
    topics: ["held.work"],
    onEvent: async (ctx, _, event) => void awards.push(await bid(ctx, event, { score: 9, holdMs: 50 })),
  });
  await loom.join("patient", {
    topics: ["held.work"],
    async onEvent(ctx, _, event) {
      const award = await bid(ctx, event, { score: 1 });
      await award.deliver("done");
      await assert.rejects(award.fail("late"), LoomError);
      awards.push(award);
    },
  });
  const { ctx } = await loom.join("holder");
  const settled = await contractNet(ctx, "held.work", 1, { windowMs: 300 });
  assert.equal(settled.winner, "patient");
  await until(() => awards.length === 2);
  assert.deepEqual([awards[0], awards[1].isDone], [null, true]);
});

test("what is no call cannot be bid for", async () => {
  const { ctx } = await loom.join("confused");
  const [event] = await ctx.request("py.echo", 1, { firstK: 1 });
  await assert.rejects(bid(ctx, event, { score: 1 }), InvalidEnvelope);
});
