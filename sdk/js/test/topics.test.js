import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { checkPattern, checkTopic, InvalidTopic, matches } from "@loom/sdk";

const VECTORS = JSON.parse(readFileSync(new URL("../../../proto/vectors/topics.json", import.meta.url), "utf8"));

/** Which rule `check` finds broken, as the vectors name it. */
function problem(check, text) {
  try {
    assert.equal(check(text), text);
    return "";
  } catch (error) {
    if (!(error instanceof InvalidTopic)) throw error;
    assert.equal(error.topic, text);
    return error.problem;
  }
}

for (const [kind, check] of [["topics", checkTopic], ["patterns", checkPattern]]) {
  test(`the grammar of ${kind} is that of the vectors`, () => {
    assert.ok(VECTORS[kind].length > 20);
    for (const { text, problem: expected } of VECTORS[kind]) assert.equal(problem(check, text), expected, text);
  });
}

test("patterns match as in the vectors", () => {
  assert.ok(VECTORS.matches.length > 30);
  for (const { pattern, topic, matches: expected } of VECTORS.matches) {
    assert.equal(matches(pattern, topic), expected, `${pattern} ${topic}`);
  }
});

for (const value of [undefined, null, 3, 3n, ["a"], Buffer.from("a")]) {
  test(`no text is refused: ${typeof value}`, () => assert.equal(problem(checkTopic, value), "not_text"));
}

test("half a character is refused", () => assert.equal(problem(checkTopic, "a\ud800"), "white_space"));

test("the error says what is wrong with what", () => {
  assert.throws(() => checkTopic("a.*"), { name: "InvalidTopic", message: /'a\.\*'.*not published to/ });
});
