import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { Loom, PYTHON, until } from "./loom.js";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const PAGE = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [quickStart, together] = [...PAGE.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code);
const loom = new Loom();
before(() => loom.start());
after(() => loom.stop());

/** Run a program on the Loom; its output and exit code in the end. */
function run(command, ...args) {
  const env = { ...process.env, LOOM_ADDRESS: loom.address, LOOM_TOKEN: loom.token };
  const child = spawn(command, args, { cwd: HERE, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (part) => (output += part));
  const ended = new Promise((resolve) => child.once("exit", (code) => resolve({ code, output })));
  return { child, ended };
}

const node = (code) => run(process.execPath, "--input-type=module", "--eval", code);

test("the quick start runs as it is printed", async () => {
  const { child, ended } = node(quickStart);
  const { ctx } = await loom.join("reader");
  await until(async () => (await ctx.request("tool.list", { name: "text.count" })).data.tools.length === 1);
  const text = { text: "to be or not to be" };
  let reply;
  await until(() => ctx.request("text.submitted", text).then((found) => (reply = found), () => false));
  assert.deepEqual(reply.data, { words: 6 });
  child.kill("SIGTERM");
  assert.equal((await ended).code, 0);
});

test("working together runs as it is printed", async () => {
  const { code, output } = await node(together).ended;
  assert.deepEqual([code, output], [0, "north is green { 'mood.asked': 'fine' }\n"]);
});

test("an agent in JS and one in Python finish a task together", async () => {
  const python = run(PYTHON, "examples/proofreader.py");
  const { code, output } = await run(process.execPath, "examples/editor.js").ended;
  assert.deepEqual([code, output], [0, "proofreader: The quick brown fox jumps over the lazy dog.\n"]);
  assert.equal((await python.ended).code, 0);
});
