/**
 * Working together, with agents of any language: functions over a `Context`.
 *
 * fanout        ask several topics at once, and go on when enough have answered
 * barrier       wait until all members have come
 * contractNet   offer a task to whoever bids best; `bid` is the other side
 *
 * The events are those of docs/reference/collaboration.md.
 */

export { Thread } from "../context.js";
export { BarrierTimeout } from "../errors.js";
export { Award, bid } from "./bidding.js";
export { contractNet, Settlement } from "./contracting.js";
export { fanout, Gathered } from "./gathering.js";
export { barrier } from "./meeting.js";
