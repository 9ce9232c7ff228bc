/** What a program for Node shares with Loom today: the grammar of topics, and the record of an event. */

export { Envelope, InvalidEnvelope } from "./envelope.js";
export { checkPattern, checkTopic, InvalidTopic, matches } from "./topics.js";
