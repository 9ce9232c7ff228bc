/** What a program in JavaScript needs to take part in a Loom. */

export { Agent } from "./agent.js";
export { Capability, capability } from "./capability.js";
export { Context, Thread } from "./context.js";
export { Envelope } from "./envelope.js";
export {
  BackpressureTimeout,
  BarrierTimeout,
  BridgeError,
  BusClosed,
  Disconnected,
  HopLimitExceeded,
  InvalidEnvelope,
  InvalidTopic,
  LoomError,
  NoResponders,
  PayloadNotSerializable,
  PayloadTooLarge,
  ProtocolError,
  Refused,
  Reject,
  RequestTimeout,
  Retry,
  ToolError,
} from "./errors.js";
export { Subscription } from "./subscription.js";
export { checkPattern, checkTopic, matches } from "./topics.js";
