import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Reject, Retry } from "@loom/sdk";

import { Loom, until } from "./loom.js";

const loom = new Loom();
before(() => loom.start({ journal: true }));
after(() => loom.stop());

test("a failed event comes again and finds the state as it was; another agent of the id goes on with it", async () => {
  const seen = [];
  let hasFailed = false;
  const count = (ctx, topic, event) => {
    ctx.state.n = (ctx.state.n ?? 0) + 1;
    if (event.data === "fail" && !hasFailed) {
      hasFailed = true;
      throw new Retry("once", 0);
    }
    seen.push([event.data, ctx.state.n]);
  };
  const { ctx } = await loom.join("publisher");
  const first = await loom.join("counter", { topics: ["tick"], onEvent: count });
  for (const data of ["one", "fail", "three"]) await ctx.emit("tick", data, { thread_id: "t" });
  await until(() => seen.length === 3);
  assert.deepEqual(seen, [["one", 1], ["fail", 2], ["three", 3]]);
  await first.stop();
  await loom.join("counter", { topics: ["tick"], onEvent: count });
  await ctx.emit("tick", "four");
  await until(() => seen.length === 4);
  assert.deepEqual(seen[3], ["four", 4]);
});

test("what is rejected, and what fails for good, is given up", async () => {
  const letters = await loom.recorder("dlq.>");
  await loom.join("refuser", {
    topics: ["bad"],
    onEvent: () => {
      throw new Reject("nobody can handle this");
    },
  });
  const { ctx } = await loom.join("sender");
  await ctx.emit("bad", 1);
  await until(() => letters.length === 1);
  assert.equal(letters[0].topic, "dlq.bad");
  assert.match(letters[0].data.reason, /nobody can handle this/);
});
