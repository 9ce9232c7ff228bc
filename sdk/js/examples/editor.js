// One half of a task; the other is proofreader.py. Start both, in any order, with a Loom running.

import { Agent } from "@loom/sdk";
import { barrier, contractNet } from "@loom/sdk/collaboration";

const editor = new Agent({ id: "editor" });
await editor.start();
const { ctx } = editor;

await barrier(ctx, "desk", ["editor", "proofreader"]);
const text = "Teh quick brown fox jumps over teh lazy dog.";
const settled = await contractNet(ctx, "proofreading.wanted", { text }, { windowMs: 500 });
console.log(settled.isComplete ? `${settled.winner}: ${settled.result.text}` : settled.failure);

await ctx.emit("desk.closed");
await editor.stop();
