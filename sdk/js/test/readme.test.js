import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const VECTORS = JSON.parse(readFileSync(new URL("../../../proto/vectors/envelope.json", import.meta.url), "utf8"));
const PAGE = readFileSync(new URL("../README.md", import.meta.url), "utf8");

test("the example in the README runs", async () => {
  const [, example] = PAGE.match(/^```js\n(.*?)^```/ms);
  const code = example.replace("@loom/sdk", import.meta.resolve("@loom/sdk"));
  const { show } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  assert.equal(show(JSON.stringify(VECTORS[0].json)), "2023-11-14T22:13:20.500Z market.price.BTC null");
});
