// What party.py is, in JavaScript.

import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";

import { Agent } from "../../../sdk/js/src/index.js";

const order = JSON.parse(process.argv[2]);
const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const silent = { warn() {}, error() {} };

const partners = Array.from({ length: order.count }, (_, number) => {
  const id = `${order.own}-${number}`;
  const got = [];
  let done;
  const all = new Promise((resolve) => (done = resolve));
  const agent = new Agent({
    id,
    topics: [`to.${id}`],
    address: order.address,
    token: order.token,
    log: silent,
    onEvent(ctx, topic, event) {
      got.push(event.data);
      if (got.length >= order.events) done();
    },
    onStart: (ctx) => void (partner.ctx = ctx),
  });
  const partner = { id, got, agent, all, to: `to.${order.other}-${number}`, ctx: null };
  return partner;
});

async function talk({ ctx, to, all }) {
  for (let number = 0; number < order.events; number += 1) {
    await ctx.emit(to, number);
    await wait(50);
  }
  await all;
}

await Promise.all(partners.map(({ agent }) => agent.start()));
console.log("ready");
await input.next();
await Promise.race([Promise.all(partners.map(talk)), wait(order.patience * 1000, null, { ref: false })]);
console.log(JSON.stringify(Object.fromEntries(partners.map(({ id, got }) => [id, got]))));
await input.next();
await Promise.all(partners.map(({ agent }) => agent.stop()));
process.exit(0);
