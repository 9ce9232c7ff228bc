/** A client made with the JavaScript SDK: its session and its bus, on which its `Agent` stands. */

import { createInterface } from "node:readline";

import { parseAddress } from "../../../../sdk/js/src/address.js";
import { Bus, Cause, MAILBOX } from "../../../../sdk/js/src/bus.js";
import { NoResponders, Refused, RequestTimeout } from "../../../../sdk/js/src/errors.js";
import { message } from "../../../../sdk/js/src/protocol.js";
import { Session } from "../../../../sdk/js/src/session.js";

const log = { warn() {}, error() {} };

/** Write one observation. */
function tell(saw, what = {}) {
  process.stdout.write(`${JSON.stringify({ saw, ...what })}\n`);
}

class Client {
  subscriptions = new Map();
  answers = new Map();
  isLeaving = false;

  async connect({ address, token, agent = "", metadata = {} }) {
    this.session = new Session(parseAddress(address), { token, agent, metadata }, log);
    this.bus = new Bus(this.session, log);
    this.session.onCall = (asked) => this.answer(asked);
    this.session.onOver = () => this.isLeaving || tell("ended");
    try {
      await this.session.open();
    } catch (error) {
      this.isLeaving = true;
      tell("refused", { code: error.code });
      return;
    }
    tell("connected", { name: this.session.welcome.name });
  }

  async subscribe(command) {
    const { patterns, mailbox, qos, capacity, group, types } = command;
    const known = this.subscriptions.get(command.as);
    if (known) {
      for (const pattern of patterns) known.add(pattern);
      return;
    }
    const chosen = Object.entries({ qos, capacity, group, types }).filter(([, value]) => value !== undefined);
    const options = Object.fromEntries(chosen);
    const subscription = mailbox ? this.bus.subscribe(patterns, options, MAILBOX) : this.bus.subscribe(patterns, options);
    this.subscriptions.set(command.as, subscription);
    void this.handle(subscription, command);
  }

  async handle(subscription, { as, then = "keep", to }) {
    for (let event = await subscription.next(); event; event = await subscription.next()) {
      tell("event", { as, event });
      if (then === "hold") continue;
      try {
        await this.react(then, to, event);
      } catch (error) {
        tell("problem", { as, message: String(error) });
      }
      subscription.settle(event);
    }
  }

  async react(then, to, event) {
    const cause = new Cause(event);
    const data = then === "ask" ? (await this.bus.request(to, event.data, {}, cause)).data : event.data;
    const reply = { correlation_id: event.correlation_id };
    if (then === "forward") await this.bus.publish(to, data, {}, cause);
    else if (then !== "keep") await this.bus.publish(event.reply_to, data, reply, cause);
  }

  async unsubscribe({ as, patterns = [] }) {
    for (const pattern of patterns) this.subscriptions.get(as).remove(pattern);
    if (!patterns.length) this.subscriptions.get(as).close();
  }

  async publish({ topic, data, data_base64, type, fields = {}, count = 1 }) {
    const options = { ...fields, ...(type && { type }) };
    for (let number = 0; number < count; number += 1) {
      const value = data_base64 ? new Uint8Array(Buffer.from(data_base64, "base64")) : data === undefined ? number : data;
      await this.bus.publish(topic, value, options, null);
    }
  }

  async request({ as, topic, data = null, timeout = 5 }) {
    try {
      tell("reply", { as, event: await this.bus.request(topic, data, { timeoutMs: timeout * 1000 }, null) });
    } catch (error) {
      if (error instanceof NoResponders) tell("nobody", { as });
      else if (error instanceof RequestTimeout) tell("timeout", { as });
      else if (error instanceof Refused) tell("refused", { as, code: error.code });
      else if (!this.isLeaving) throw error;
    }
  }

  async offer({ tools }) {
    this.answers = new Map(tools.map((tool) => [tool.name, tool.answers]));
    const described = ({ name, parameters = { type: "object" } }) => ({ name, description: "a tool of the kit", parameters });
    this.bus.offer(tools.map(described));
  }

  answer({ ref, call }) {
    const { id, name, arguments: given = {}, caller } = call;
    tell("call", { name, arguments: given, caller });
    const { code, output = given } = this.answers.get(name);
    const result = code ? { id, code, error: { message: "as it was told to" } } : { id, code: "ACTION_OK", output };
    this.session.send(message("result", { ref, result }));
  }

  async call({ as, name, arguments: given = {} }) {
    const { code = "ACTION_OK", output = null } = await this.session.call({ name, arguments: given }, 0);
    tell("result", { as, code, output });
  }

  async leave() {
    this.isLeaving = true;
    this.bus?.close();
    await this.session?.close();
  }
}

let client = new Client();
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const done = client[command.do](command);
  if (command.do !== "request" && command.do !== "call") await done;
  if (command.do === "leave") {
    client = new Client();
    tell("left");
  }
}
await client.leave();
process.exit(0);
