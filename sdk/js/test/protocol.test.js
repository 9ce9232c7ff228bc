import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { Envelope } from "@loom/sdk";

import * as browser from "../src/platform/browser.js";
import * as node from "../src/platform/node.js";
import { encode, message, publishMessage } from "../src/protocol.js";
import { ranges } from "../src/session.js";
import { Stream } from "../src/stream.js";

const VECTORS = JSON.parse(readFileSync(new URL("../../../proto/vectors/session.json", import.meta.url), "utf8"));
const LIMIT = 1 << 20;

/** What `stream` sends next. */
const sent = (stream, limit = LIMIT) => JSON.parse(stream.take(limit));

for (const { name, from, json } of VECTORS) {
  if (from !== "client") continue;
  test(`a frame is its vector: ${name}`, () => {
    const stream = new Stream();
    for (const { kind, ...rest } of json.messages ?? []) {
      const { topic, cause, data, data_base64: octets, ...others } = rest;
      const value = octets === undefined ? data : node.fromBase64(octets);
      stream.put(kind === "publish" ? publishMessage(topic, value, others, cause)[0] : message(kind, { ...others, ...(topic && { topic }) }, cause));
    }
    assert.deepEqual(sent(stream).messages, json.messages ?? []);
  });
}

test("events of the vectors are envelopes", () => {
  const delivers = VECTORS.flatMap(({ json }) => json.messages ?? []).filter(({ kind }) => kind === "deliver");
  assert.ok(delivers.length > 2);
  for (const { event } of delivers) assert.deepEqual(JSON.parse(JSON.stringify(new Envelope(event))), event);
});

test("what is not seen is sent again, and nothing else", () => {
  const stream = new Stream();
  for (let n = 1; n <= 5; n += 1) assert.equal(stream.put(message("bye", { n })), n);
  assert.deepEqual(sent(stream).messages.map(({ n }) => n), [1, 2, 3, 4, 5]);
  stream.accept(0, 2, []);
  stream.put(message("bye", { n: 6 }));
  stream.rewind(3);
  const again = sent(stream);
  assert.deepEqual([again.first, again.messages.map(({ n }) => n)], [4, [4, 5, 6]]);
  assert.throws(() => stream.forget(7), { name: "ProtocolError" });
});

test("what came twice is taken once, and a gap is an error", () => {
  const stream = new Stream();
  assert.deepEqual(stream.accept(1, 0, ["a", "b"]), ["a", "b"]);
  assert.deepEqual(stream.accept(2, 0, ["b", "c"]), ["c"]);
  assert.deepEqual(stream.accept(0, 0, ["d"]), ["d"]);
  assert.throws(() => stream.accept(6, 0, ["f"]), { name: "ProtocolError" });
  assert.equal(stream.seen, 4);
});

test("frames are no longer than they may be", () => {
  const stream = new Stream();
  for (let n = 0; n < 10; n += 1) stream.put(message("bye", { text: "ü".repeat(1000) }));
  const sizes = [];
  while (stream.hasUnsent) sizes.push(node.sizeOf(stream.take(5000)));
  assert.equal(sizes.length, 5);
  assert.ok(Math.max(...sizes) <= 5000);
});

test("acknowledgements are runs", () => assert.deepEqual(ranges([4, 1, 2, 3, 7]), [[1, 4], [7, 7]]));

test("JSON is strict", () => {
  assert.equal(encode({ a: undefined, b: new Date(0) }, "t"), '{"b":"1970-01-01T00:00:00.000Z"}');
  for (const value of [NaN, [Infinity], { a: () => {} }, new Map(), 1n]) {
    assert.throws(() => encode(value, "t"), { name: "PayloadNotSerializable" });
  }
});

test("a browser has the names that Node has", () => {
  assert.deepEqual(Object.keys(browser).sort(), Object.keys(node).sort());
  const octets = Uint8Array.of(0, 127, 255);
  assert.equal(browser.toBase64(octets), node.toBase64(octets));
  assert.deepEqual(browser.fromBase64("AH//"), octets);
  assert.equal(browser.sizeOf("ü"), 2);
  const flow = new browser.Flow();
  assert.equal(flow.run(1, () => flow.run(2, () => flow.getStore()) + flow.getStore()), 3);
  assert.equal(flow.getStore(), undefined);
});

test("only one module needs Node", () => {
  const source = new URL("../src/", import.meta.url);
  const modules = readdirSync(source, { recursive: true }).filter((name) => name.endsWith(".js"));
  assert.ok(modules.length > 15);
  const needing = modules.filter((name) => /from "(node:|ws")|\bBuffer\b|\bprocess\./.test(readFileSync(new URL(name, source), "utf8")));
  assert.deepEqual(needing, ["platform/node.js"]);
});
