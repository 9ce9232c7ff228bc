import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Envelope, InvalidEnvelope } from "@loom/sdk";

const VECTORS = JSON.parse(readFileSync(new URL("../../../proto/vectors/envelope.json", import.meta.url), "utf8"));
const PLAIN = VECTORS[0].json;

for (const { name, json } of VECTORS) {
  test(`${name}: it prints as its vector`, () => {
    const envelope = new Envelope(json);
    assert.deepEqual(JSON.parse(JSON.stringify(envelope)), json);
    assert.equal(envelope.ts, json.ts);
    assert.equal(envelope.traceId, json.traceparent.split("-")[1]);
    for (const field of Object.keys(json)) assert.deepEqual(envelope[field], json[field]);
  });
}

test("every reserved name is needed", () => {
  for (const name of Object.keys(PLAIN)) {
    const { [name]: _, ...rest } = PLAIN;
    assert.throws(() => new Envelope(rest), { name: "InvalidEnvelope", field: name });
  }
});

test("bytes are bytes", () => {
  const { json } = VECTORS.find((vector) => vector.json.content_type === "image/png");
  const envelope = new Envelope(json);
  assert.deepEqual(envelope.data, Uint8Array.of(0, 1, 2, 127, 128, 254, 255));
  envelope.data.fill(0);
  assert.equal(envelope.data[1], 1);
});

test("an envelope is read-only to its depths", () => {
  const envelope = new Envelope({ ...PLAIN, data: { list: [{ a: 1 }] }, budget: { usd: 1 } });
  assert.throws(() => { envelope.topic = "b"; }, TypeError);
  assert.throws(() => { envelope.extra = 1; }, TypeError);
  assert.throws(() => { envelope.ts = 1; }, TypeError);
  assert.throws(() => { envelope.data.list[0].a = 2; }, TypeError);
  assert.throws(() => { envelope.budget.usd = 2; }, TypeError);
  assert.throws(() => envelope.labels.push("x"), TypeError);
});

test("what it was made from stays the maker's own", () => {
  const record = { ...PLAIN, data: { n: 1 } };
  const envelope = new Envelope(record);
  record.data.n = 2;
  assert.equal(envelope.data.n, 1);
});

test("unknown names survive", () => {
  const written = JSON.stringify({ ...PLAIN, later: { deep: [1] }, toJSON: "x", traceId: "y" });
  const record = JSON.parse(`${written.slice(0, -1)},"__proto__":{"z":1}}`);
  const envelope = new Envelope(record);
  assert.deepEqual(envelope.later, { deep: [1] });
  assert.equal(envelope.z, undefined);
  assert.deepEqual(JSON.parse(JSON.stringify(envelope)), record);
});

for (const [field, value] of [
  ["topic", 3],
  ["time", "now"],
  ["time", NaN],
  ["time", 1e308],
  ["tags", "a"],
  ["labels", [1]],
  ["metadata", { a: 1 }],
  ["metadata", null],
  ["priority", 1.5],
  ["ttl", -1],
  ["budget", { usd: "1" }],
  ["budget", [1]],
]) {
  test(`${field} cannot be ${JSON.stringify(value)}`, () => {
    assert.throws(() => new Envelope({ ...PLAIN, [field]: value }), { name: "InvalidEnvelope", field });
  });
}

for (const [what, record] of [
  ["null", null],
  ["a list", []],
  ["a text", "{}"],
  ["both kinds of data", { ...PLAIN, data_base64: "" }],
]) {
  test(`${what} is no envelope`, () => assert.throws(() => new Envelope(record), InvalidEnvelope));
}

test("what is not base64 is no bytes", () => {
  const { data, ...rest } = PLAIN;
  for (const text of ["a", "####", "AAAA AAAA", 3]) {
    assert.throws(() => new Envelope({ ...rest, data_base64: text }), { field: "data_base64" });
  }
});
