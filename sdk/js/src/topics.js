/**
 * Topics and patterns, in the grammar of NATS subjects.
 *
 * A topic is dot-separated tokens. In a pattern `*` stands for exactly one token anywhere and `>` for one or
 * more trailing tokens; a wildcard is a whole token. Grammar: https://docs.nats.io/nats-concepts/subjects
 */

import { InvalidTopic } from "./errors.js";

const MAX_LENGTH = 255;
const MAX_TOKENS = 32;

const PROBLEMS = Object.freeze({
  not_text: "it is not text",
  empty: "it is empty",
  too_long: `it is over ${MAX_LENGTH} characters or ${MAX_TOKENS} tokens`,
  empty_token: "it has an empty token (a dot too many)",
  white_space: "it holds white space or a control character",
  rest_not_last: "`>` stands for the rest, so it must come last",
  partial_wildcard: "a wildcard must be a whole token (`a.*`, not `a.b*`)",
  pattern: "a pattern can be subscribed to, not published to",
});

/** @typedef {keyof typeof PROBLEMS} Problem */

/**
 * Return `topic` if one can publish to it.
 *
 * @param {string} topic
 * @returns {string}
 * @throws {InvalidTopic} it is a pattern, is empty, too long, or has an empty token or white space
 */
export function checkTopic(topic) {
  const problem = problemOf(topic) || (isPattern(topic) ? "pattern" : "");
  if (problem) throw new InvalidTopic(topic, problem, PROBLEMS[problem]);
  return topic;
}

/**
 * Return `pattern` if one can subscribe to it.
 *
 * @param {string} pattern
 * @returns {string}
 * @throws {InvalidTopic} see `checkTopic`; also `>` before the end and partial wildcards (`a.b*`)
 */
export function checkPattern(pattern) {
  const problem = problemOf(pattern);
  if (problem) throw new InvalidTopic(pattern, problem, PROBLEMS[problem]);
  return pattern;
}

/**
 * Whether the literal `topic` is covered by `pattern`; both are taken as checked.
 *
 * @param {string} pattern
 * @param {string} topic
 * @returns {boolean}
 */
export function matches(pattern, topic) {
  const wanted = pattern.split(".");
  const tokens = topic.split(".");
  for (const [position, token] of wanted.entries()) {
    if (token === ">") return tokens.length > position;
    if (position >= tokens.length) return false;
    if (token !== "*" && token !== tokens[position]) return false;
  }
  return wanted.length === tokens.length;
}

/** @param {string} text */
function isPattern(text) {
  return text.includes("*") || text.includes(">");
}

/**
 * The first rule that keeps `text` from being a pattern, or nothing.
 *
 * @param {unknown} text
 * @returns {Problem | ""}
 */
function problemOf(text) {
  if (typeof text !== "string") return "not_text";
  if (!text) return "empty";
  const tokens = text.split(".");
  // Characters are counted as Python counts them: one outside the basic plane is one, not two.
  if (tokens.length > MAX_TOKENS || [...text].length > MAX_LENGTH) return "too_long";
  if (tokens.includes("")) return "empty_token";
  if (/[\p{C}\p{Z}]/u.test(text)) return "white_space";
  if (tokens.slice(0, -1).includes(">")) return "rest_not_last";
  if (tokens.some((token) => token.length > 1 && isPattern(token))) return "partial_wildcard";
  return "";
}
