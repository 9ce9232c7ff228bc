/** What an agent offers to do: a tool that others call through the runtime. */

import { LoomError, ToolError } from "./errors.js";

/**
 * @template [A=any]
 * @callback Run
 * @param {A} args what the schema in `parameters` describes; the runtime has checked them
 * @param {import("./context.js").Context} ctx its `signal` is aborted when nobody wants the outcome any more
 * @returns {unknown} the output, or a promise of it
 */

export class Capability {
  /**
   * @param {string} name
   * @param {Omit<import("./protocol.js").ToolDescriptor, "name">} about
   * @param {Run} run
   */
  constructor(name, about, run) {
    this.name = name;
    this.version = about.version;
    this.descriptor = { name, ...about, provider: "agent" };
    this.run = run;
  }
}

/**
 * A tool for `new Agent({capabilities: […]})`.
 *
 * @param {string} name `namespace.verb`
 * @param {object} about
 * @param {string} [about.version]
 * @param {object} [about.parameters] JSON Schema of the arguments, an object
 * @param {object} [about.result] JSON Schema of the output
 * @param {string} [about.description]
 * @param {number} [about.timeout] seconds
 * @param {{read_only?: boolean, destructive?: boolean, idempotent?: boolean}} [about.hints]
 * @param {Run} run
 */
export function capability(name, { version = "1.0", parameters = NOTHING, description = "", ...rest }, run) {
  return new Capability(name, { version, parameters, description, ...rest }, run);
}

const NOTHING = Object.freeze({ type: "object", properties: {}, additionalProperties: false });

/**
 * Run a capability for the runtime; always a result.
 *
 * @param {Capability | undefined} found
 * @param {import("./protocol.js").ToolCall} call
 * @param {import("./context.js").Context} ctx
 * @returns {Promise<import("./protocol.js").ToolResult>}
 */
export async function outcome(found, call, ctx) {
  const id = call.id ?? "";
  if (!found) {
    return { id, code: "CAPABILITY_ERROR", error: { message: `${ctx.agentId} has no ${call.name} ${call.version}` } };
  }
  try {
    return { id, output: (await found.run(call.arguments ?? {}, ctx)) ?? null };
  } catch (error) {
    if (error instanceof ToolError) {
      return { id, code: error.code, error: { message: error.reason, details: error.details } };
    }
    const [name, text] = error instanceof Error ? [error.name, error.message] : ["Error", String(error)];
    return { id, code: "ACTION_ERROR", error: { message: `${name}: ${text}` } };
  }
}

/** @param {string} name @param {import("./protocol.js").ToolResult} result */
export function outputOf(name, { code = "ACTION_OK", output, error }) {
  if (code === "ACTION_OK") return output;
  if (!error) throw new ToolError(name, code, code);
  throw new ToolError(name, code, error.message, error.details);
}

/** @param {Iterable<Capability>} capabilities */
export function byName(capabilities) {
  const known = new Map();
  for (const one of capabilities) {
    const key = `${one.name} ${one.version}`;
    if (known.has(key)) throw new LoomError(`two capabilities are called ${key}`);
    known.set(key, one);
  }
  return known;
}
